"""Text to train the embedded model on: documentation strings of installed packages, and long texts cut in two."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from workbench.embedded.docstrings import cut, passage

# The standard library and NumPy are left out: they are the embedded collection, on which the head is measured.
PACKAGES = ("torch", "transformers", "scipy", "pandas", "sklearn", "sympy", "networkx", "pyarrow", "numba",
            "sentence_transformers", "matplotlib", "plotly", "streamlit", "gradio", "datasets", "huggingface_hub",
            "pip", "debugpy", "IPython", "setuptools", "pydantic", "peft", "tornado", "narwhals", "hypothesis",
            "accelerate", "rich", "altair", "duckdb", "PIL", "jinja2", "mpmath", "websockets", "fsspec", "bs4", "anyio",
            "joblib", "jedi", "requests")  # fmt: skip
MOST_WORDS, FEWEST_REST_WORDS = 110, 14
FEWEST_TO_HALVE = 80
FEWEST_OF_A_HALF, MOST_OF_A_HALF = 15, 50
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])|(?<=\s[.!?])\s+")  # the old collections write " . " in lower case


def documentation_pairs(n: int, seed: int = 0, packages: tuple[str, ...] = PACKAGES) -> list[dict[str, str]]:
    """Pairs of the first sentence of a documentation string and what follows it.

    Args:
        n: How many pairs at most, and as evenly from the packages as they have them.
        seed: Seed of the sample.
        packages: Top-level packages whose sources are parsed; nothing is imported or run. One that is missing gives
            none.

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


def halves(texts: Sequence[str], n: int, seed: int = 0) -> list[dict[str, str]]:
    """Pairs of what a long text begins with and what follows: long questions, of which the other sources have few.

    Args:
        texts: Texts; those of fewer than 80 words give no pair.
        n: How many pairs at most.
        seed: Of the choice and of where each text is cut.

    Returns:
        Rows with "query" (15 to 50 words) and "positive".

    Source:
        Lee, Chang and Toutanova, 2019 (inverse cloze task).
    """
    generator = random.Random(seed)
    long = [words for text in texts if len(words := text.split()) >= FEWEST_TO_HALVE]
    rows = []
    for words in generator.sample(long, min(len(long), n)):
        end = generator.randint(FEWEST_OF_A_HALF, min(MOST_OF_A_HALF, len(words) // 2))
        rows.append({"query": " ".join(words[:end]), "positive": " ".join(words[end:])})
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
