"""Text to train the embedded model's head on: documentation strings of installed packages, and spans cut from them."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from workbench.embedded.docstrings import cut, passage

# Packages that every installation has. The standard library and NumPy are left out: they are the embedded collection,
# on which the head is measured.
PACKAGES = ("torch", "transformers", "scipy", "pandas", "sklearn", "sympy", "networkx", "pyarrow", "numba",
            "sentence_transformers")  # fmt: skip
FEWEST_WORDS, MOST_WORDS = 25, 110
SPAN_WORDS = (4, 20)


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
