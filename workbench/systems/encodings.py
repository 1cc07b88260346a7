"""MUVERA as a first stage: one fixed dimensional encoding a document, whose product approximates MaxSim."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from engine import TokenEmbeddings
from engine.muvera import Muvera, MuveraSettings
from engine.retrieval import rank_of
from workbench.cache import content_key
from workbench.systems.material import Material, Question
from workbench.systems.stages import TOKENS, Finder, Found, Options, Place


@dataclass(frozen=True)
class MuveraOptions(MuveraSettings, Options):
    """Options of fixed dimensional encodings: those of `MuveraSettings`, and how many documents are sent on."""

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        MuveraSettings.__post_init__(self)


class MuveraStage(Finder):
    """Ranks by the product of encodings alone; the kind of index of this name scores what it finds by itself.

    Args:
        options: See `MuveraOptions`.
        material: The collection.
    """

    name = "muvera"
    options_class = MuveraOptions
    positional: ClassVar[tuple[str, ...]] = ("dim",)
    depth: ClassVar[int] = 400
    needs = TOKENS

    def __init__(self, options: MuveraOptions, material: Material) -> None:
        self.options, self._material = options, material
        documents = material.documents
        self._map = Muvera.make(documents.dim, options)
        self._map.encode(documents[:1])  # compiles what follows, which no clock should see
        start = time.perf_counter()
        self._encodings = self._map.encode(
            documents, lambda done, total: material.steps("encode for muvera", done, total)
        )
        self.build_seconds = time.perf_counter() - start

    @classmethod
    def check(cls, options: MuveraOptions, material: Material) -> None:
        """Raise unless the dimension of the vectors can be spent like this, where it is known beforehand."""
        dim = material.prepared.model.get("dim")
        if isinstance(dim, int):
            options.layout(dim)

    def encode(self, texts: Sequence[str]) -> TokenEmbeddings:
        """Token vectors of questions."""
        return self._material.tokens(texts)

    @property
    def holdings(self) -> dict[str, int]:
        """The encodings."""
        return {f"muvera {content_key(asdict(self.options) | {'k': 0})}": self._encodings.nbytes}

    def describe(self) -> dict[str, Any]:
        """All options, and what follows from them."""
        return asdict(self.options) | asdict(self._map.layout)

    def find(self, question: Question, k: int, among: np.ndarray | None = None) -> Found:
        """The k best documents by their encodings."""
        asked = self._map.encode_query(question.parts[TOKENS])
        positions, scores = self._encodings.search(asked, k, self._material.ties, among)[0]
        return Found(positions, scores)

    def place(self, question: Question, position: int, k: int) -> Place:
        """Its rank by its encoding among all documents."""
        scores = self._encodings.scores(self._map.encode_query(question.parts[TOKENS]))[0]
        if scores[position] == -np.inf:
            return Place(None, None, len(scores), "it has no token vectors")
        return Place(rank_of(position, scores, self._material.ties), float(scores[position]), len(scores))
