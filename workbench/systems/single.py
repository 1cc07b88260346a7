"""One vector a text: the mean or first vector of the same model's backbone, or any model of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from engine import TokenEmbeddings
from engine.errors import InputError
from engine.indexes import index_class
from engine.retrieval import rank_of, top_positions
from workbench.cache import cached_index, searched_bytes
from workbench.systems.material import Material, Question
from workbench.systems.single_models import MEAN, POOLINGS, SingleModel, single_model
from workbench.systems.stages import Finder, Found, Options, Place, only

EXACT = "exact"
INDEXES = (EXACT, "hnsw")


@dataclass(frozen=True)
class SingleOptions(Options):
    """Options of a single vector.

    Args:
        model: A folder or hub name of a sentence-transformers model; "" takes the backbone of the collection's model.
        pooling: Of that backbone: "mean" of its token vectors, or the first one, "cls".
        index: "exact" compares all, "hnsw" (voyager) a graph's neighbours.
    """

    model: str = ""
    pooling: str = MEAN
    index: str = EXACT

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("pooling", POOLINGS), ("index", INDEXES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"Unknown {name} {getattr(self, name)!r} of 'single': choose among {', '.join(known)}."
                )
        if self.model and self.pooling != MEAN:
            raise InputError("The stage 'single' takes pooling for the backbone only: a model named has its own.")


class Single(Finder):
    """Ranks by the dot product of one vector a text, each of length 1.

    Args:
        options: See `SingleOptions`.
        material: The collection.
    """

    name = "single"
    options_class = SingleOptions
    positional: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(self, options: SingleOptions, material: Material) -> None:
        self.options, self._material = options, material
        self._model = _model(options, material)
        self.needs = f"single {self._model.identity}"
        self._documents = self._model.documents(material.texts, material.steps)
        self._index = None
        self.build_seconds = 0.0
        if options.index != EXACT:
            found = cached_index(options.index, material.ids, as_tokens(self._documents), scratch=material.scratch,
                                 dtype="float32")  # fmt: skip
            self._index, self.build_seconds = found[0], found[1]

    @classmethod
    def check(cls, options: SingleOptions, material: Material) -> None:
        """Raise unless the model is there, and the packages of the index."""
        index_class(options.index).check_installed()
        _model(options, material)

    @classmethod
    def identity(cls, options: SingleOptions, material: Material) -> dict[str, Any]:
        """Options, and the model."""
        return asdict(options) | _model(options, material).describe()

    @property
    def holdings(self) -> dict[str, int]:
        """The vectors, or the files of the graph."""
        if self._index is not None:
            return {f"{self.needs} {self.options.index}": searched_bytes(self._index) or 0}
        return {self.needs: self._documents.nbytes}

    def describe(self) -> dict[str, Any]:
        """Options, and the model."""
        return self.identity(self.options, self._material) | {"dim": self._documents.shape[1]}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """One vector a question, float32 [n, dim]."""
        if list(texts) == list(self._material.collection.queries.values()):
            return self._model.queries(texts, self._material.steps, keep=True)
        return self._model.queries(texts, self._material.steps, keep=False)

    def find(self, question: Question, k: int, among: np.ndarray | None = None) -> Found:
        """The k best documents."""
        vector = question.parts[self.needs]
        if self._index is not None:
            ranking = self._index.search(as_tokens(vector[None]), k, self._material.names(among))[0]
            positions = np.array([self._material.position[name] for name in ranking.ids], np.int64)
            return Found(positions, ranking.scores, ranking.notes)
        scores = only(self._documents @ vector, among)
        best = top_positions(scores, self._material.ties, k)
        return Found(best, scores[best])

    def place(self, question: Question, position: int, k: int) -> Place:
        """Its rank among all documents."""
        scores = self._documents @ question.parts[self.needs]
        rank = rank_of(position, scores, self._material.ties)
        graph = self._index is not None and rank <= k
        remedy = "compare all vectors (index=exact): the graph missed it" if graph else ""
        return Place(rank, float(scores[position]), len(scores), remedy)


def as_tokens(vectors: np.ndarray) -> TokenEmbeddings:
    """One vector a text as embeddings of one token a text: their MaxSim is the dot product."""
    return TokenEmbeddings(np.ascontiguousarray(vectors, np.float32), np.arange(len(vectors) + 1))


def _model(options: SingleOptions, material: Material) -> SingleModel:
    return single_model(options.model, options.pooling, material)
