"""Text to train the embedded model on: documentation strings of installed packages, as texts and as pairs."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from workbench.embedded.docstrings import cut, passage

# Packages that every installation has. The standard library and NumPy are left out: they are the embedded collection,
# on which the head is measured.
PACKAGES = ("torch", "transformers", "scipy", "pandas", "sklearn", "sympy", "networkx", "pyarrow", "numba",
            "sentence_transformers")  # fmt: skip
PAIR_PACKAGES = (*PACKAGES, "matplotlib", "plotly", "streamlit", "gradio", "datasets", "huggingface_hub", "pip",
                 "debugpy", "IPython", "setuptools", "pydantic", "peft", "tornado", "narwhals", "hypothesis",
                 "accelerate", "rich", "altair", "duckdb", "PIL", "jinja2", "mpmath", "websockets", "fsspec", "bs4",
                 "anyio", "joblib", "jedi", "requests")  # fmt: skip
FEWEST_WORDS, MOST_WORDS = 25, 110
FEWEST_REST_WORDS, MOST_CLOZE_WORDS = 14, 130
SPAN_WORDS = (4, 20)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])|(?<=\s[.!?])\s+")  # the old collections write " . " in lower case
TITLE_WORDS = 7  # where no sentence ends early


def read_texts(n: int, seed: int = 0, packages: tuple[str, ...] = PACKAGES) -> list[str]:
    """Sample documentation strings, in equal parts from each package as far as it has them.

    Args:
        n: How many texts at most.
        seed: Seed of the sample.
        packages: Top-level packages; their sources are parsed, nothing is imported or run.

    Returns:
        Distinct texts of 25 to 110 words.
    """
    generator = random.Random(seed)
    raw = {name: list(dict.fromkeys(_docstrings(name))) for name in packages}
    texts: dict[str, None] = {}
    # The smallest package first, so that what it lacks is taken from the larger ones.
    for left, name in zip(range(len(raw), 0, -1), sorted(raw, key=lambda name: len(raw[name])), strict=True):
        goal = len(texts) + (n - len(texts)) // left
        for docstring in generator.sample(raw[name], len(raw[name])):
            if len(texts) >= goal:
                break
            text = cut(passage(docstring), MOST_WORDS)
            if len(text.split()) >= FEWEST_WORDS:
                texts[text] = None
    return list(texts)


def cut_spans(texts: list[str], seed: int = 0) -> list[str]:
    """Cut one span of consecutive words from each text, to stand for a question about it.

    Args:
        texts: n texts.
        seed: Seed of places and lengths.

    Returns:
        n spans of 4 to 20 words.
    """
    generator = random.Random(seed)
    spans = []
    for text in texts:
        words = text.split()
        length = min(generator.randint(*SPAN_WORDS), len(words))
        start = generator.randint(0, len(words) - length)
        spans.append(" ".join(words[start : start + length]))
    return spans


def documentation_pairs(n: int, seed: int = 0, packages: tuple[str, ...] = PAIR_PACKAGES) -> list[dict[str, str]]:
    """Pairs of the first sentence of a documentation string and what follows it.

    Args:
        n: How many pairs at most, and as evenly from the packages as they have them.
        seed: Seed of the sample.
        packages: See `read_texts`; packages that are not installed give none.

    Returns:
        Rows with "query" (4 to 30 words) and "positive" (14 words or more), in random order.
    """
    generator = random.Random(seed)
    by_package: list[list[dict[str, str]]] = []
    seen: set[str] = set()
    for name in packages:
        raw = list(dict.fromkeys(_docstrings(name)))
        rows = (_summary_and_rest(passage(docstring)) for docstring in generator.sample(raw, len(raw)))
        by_package.append([])
        for row in rows:
            if row is not None and row["query"].lower() not in seen:
                seen.add(row["query"].lower())
                by_package[-1].append(row)
    chosen: list[dict[str, str]] = []
    for left, rows in zip(range(len(by_package), 0, -1), sorted(by_package, key=len), strict=True):
        chosen += rows[: (n - len(chosen)) // left]
    return generator.sample(chosen, len(chosen))


def cloze_pairs(texts: Sequence[str], seed: int = 0) -> list[dict[str, str]]:
    """Inverse cloze pairs: a sentence, or some of its words, and the text without it.

    Args:
        texts: Texts; those of fewer than three sentences of 5 to 35 words give no pair.
        seed: Seed of the sentences.

    Returns:
        Rows with "query" and "positive".

    Source:
        Lee, Chang and Toutanova, 2019.
    """
    generator = random.Random(seed)
    rows = []
    for text in texts:
        parts = _sentences(cut(text, MOST_CLOZE_WORDS))
        fitting = [i for i, part in enumerate(parts) if 5 <= len(part.split()) <= 35]
        if len(fitting) < 3:
            continue
        chosen = generator.choice(fitting)
        words = parts[chosen].split()
        if generator.random() < 0.5:
            length = min(generator.randint(*SPAN_WORDS), len(words))
            start = generator.randint(0, len(words) - length)
            words = words[start : start + length]
        rows.append({"query": " ".join(words), "positive": " ".join(parts[:chosen] + parts[chosen + 1 :])})
    return rows


def title_pairs(texts: Sequence[str]) -> list[dict[str, str]]:
    """Pairs of what a text begins with, its title or first sentence, and the rest of it.

    Args:
        texts: Texts, titles in front; those whose rest has fewer than 10 words give no pair.

    Returns:
        Rows with "query" and "positive".
    """
    rows = []
    for text in texts:
        words = text.split()
        end = next((i + 1 for i, word in enumerate(words[:40]) if word[-1] in ".?!" and i >= 2), TITLE_WORDS)
        if len(words) - end >= 10:
            rows.append({"query": " ".join(words[:end]).rstrip(" ."), "positive": " ".join(words[end:])})
    return rows


def _summary_and_rest(text: str) -> dict[str, str] | None:
    first, *rest = _sentences(text) or [""]
    positive = cut(" ".join(rest), MOST_WORDS)
    if not 4 <= len(first.split()) <= 30 or len(positive.split()) < FEWEST_REST_WORDS:
        return None
    return {"query": first.rstrip("."), "positive": positive}


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def _docstrings(package: str) -> Iterator[str]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return
    for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        if any(part in ("tests", "test", "testing") or part.startswith("test_") for part in path.parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name[0] != "_":
                docstring = ast.get_docstring(node)
                if docstring:
                    yield docstring
