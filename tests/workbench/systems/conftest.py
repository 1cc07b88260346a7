"""One small collection with a fake encoder for all tests of systems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine import Collection
from tests.conftest import FakeEncoder
from workbench.experiments.prepare import Prepared, prepare

WORDS = [
    "harbour", "lights", "boat", "storm", "clock", "bread", "kitchen", "river", "bridge", "ferry", "table", "tower",
    "step", "map", "cold", "small", "seven", "rise",
]  # fmt: skip


def made_collection(
    documents: int = 60, queries: int = 12, seed: int = 0, vocabulary: Sequence[str] = WORDS
) -> Collection:
    """Texts of random words, and questions of words of the document that answers them."""
    rng = np.random.default_rng(seed)
    texts = {f"d{i:02d}": " ".join(rng.choice(vocabulary, rng.integers(3, 12))) for i in range(documents)}
    asked, judged = {}, {}
    for i in range(queries):
        answer = f"d{rng.integers(documents):02d}"
        words = texts[answer].split()
        asked[f"q{i}"] = " ".join(rng.choice(words, min(3, len(words)), replace=False)) + f" number {i}"
        judged[f"q{i}"] = {answer: 2, f"d{rng.integers(documents):02d}": 1}
    return Collection(texts, asked, judged, "made")


@pytest.fixture(scope="session")
def made() -> Prepared:
    return prepare(made_collection(), FakeEncoder())  # type: ignore[arg-type]
