"""Reranking by late interaction: every scorer of the engine, on vectors that are held, stored or made when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from engine import TokenEmbeddings
from engine.checks import require_known
from engine.errors import InputError
from engine.indexes import index_class
from engine.indexes.exact import Codes
from engine.maxsim import maxsim_topk, scorers
from engine.maxsim.checks import check_scores
from engine.maxsim.exact import score_chosen
from workbench.systems.late import IndexStage
from workbench.systems.material import Material, Question
from workbench.systems.stages import TOKENS, Found, Options, Reranker
from workbench.systems.text import Leaf, parse_system

HELD, ENCODE = "held", "encode"


@dataclass(frozen=True)
class RerankOptions(Options):
    """Options of a rerank by a scorer.

    Args:
        vectors: Which vectors of the documents are scored: "held", those of the collection; "encode", made from the
            texts when the question comes; or an index that stores them, such as "plaid" or "plaid:bits=2".
        settings: Those of the scorer, as its text has them.
    """

    vectors: str = HELD
    settings: tuple[tuple[str, float], ...] = ()


class ScorerStage(Reranker):
    """Orders documents by a score over token vectors.

    Args:
        options: See `RerankOptions`.
        material: The collection.
    """

    options_class = RerankOptions
    positional: ClassVar[tuple[str, ...]] = ("vectors",)
    needs = TOKENS

    def __init__(self, options: RerankOptions, material: Material) -> None:
        self.options, self._material = options, material
        self._scorer = _scorer(self.name, options, material)
        self._index: IndexStage | None = None
        self._codes: Codes | None = None
        if options.vectors not in (HELD, ENCODE):
            leaf = _index_leaf(options.vectors)
            kind: Any = leaf.kind
            self._index = kind(leaf.options, material)
            self.build_seconds = self._index.build_seconds  # type: ignore[union-attr]
        elif options.vectors == HELD:
            material.documents.check(material.ids)  # once here, so that a question need not look
            self._codes = Codes(material.documents) if self._scorer == scorers.DEFAULT else None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> RerankOptions:
        """The options of reranking, and the settings of the scorer."""
        known = ["k", "vectors", *scorers.settings_of(cls.name)]
        require_known(given, known, f"The stage {cls.name!r}")
        found = super().read({name: value for name, value in given.items() if name in ("k", "vectors")})
        if found.vectors not in (HELD, ENCODE):
            found = RerankOptions(found.k, str(_index_leaf(found.vectors)))
        text = ",".join(f"{name}={value}" for name, value in given.items() if name not in ("k", "vectors"))
        settings = scorers.parse(f"{cls.name}:{text}" if text else cls.name)[1]
        scorers.check(f"{cls.name}:{text}" if text else cls.name)
        return RerankOptions(found.k, found.vectors, tuple(settings.items()))

    @classmethod
    def changed(cls, options: RerankOptions) -> dict[str, Any]:
        """The options that are not the defaults."""
        found = super().changed(options)
        return found | dict(found.pop("settings", ()))

    @classmethod
    def check(cls, options: RerankOptions, material: Material) -> None:
        """Raise unless the scorer has its weights, and the index its packages."""
        _scorer(cls.name, options, material)
        if options.vectors == ENCODE:
            material.encoder  # noqa: B018
        elif options.vectors != HELD:
            leaf = _index_leaf(options.vectors)
            leaf.kind.check(leaf.options, material)

    def encode(self, texts: Sequence[str]) -> TokenEmbeddings:
        """Token vectors of questions."""
        return self._material.tokens(texts)

    @classmethod
    def identity(cls, options: RerankOptions, material: Material) -> dict[str, Any]:
        """Options, and what the scorer depends on."""
        scorer = _scorer(cls.name, options, material)
        described = scorer if isinstance(scorer, str) else scorer.describe()
        return {"k": options.k, "vectors": options.vectors, "scorer": described}

    @property
    def holdings(self) -> dict[str, int]:
        """The vectors of the collection, or the index."""
        if self._index is not None:
            return self._index.holdings
        if self.options.vectors == ENCODE:
            return {}
        documents = self._material.documents
        return {"token vectors": documents.nbytes + documents.offsets.nbytes}

    def describe(self) -> dict[str, Any]:
        """Options, and what the scorer depends on."""
        return self.identity(self.options, self._material)

    def score(self, question: Question, positions: np.ndarray) -> np.ndarray:
        """Scores of some documents, on the vectors that the options name."""
        query = question.parts[TOKENS]
        if self._index is None and self.options.vectors == HELD and self._scorer == scorers.DEFAULT:
            scores = score_chosen(query, self._material.documents, positions)
            if np.isnan(scores).any():
                check_scores(scores, query, self._material.documents.select(positions))
            return scores[0]
        return scorers.score(self._scorer, query, self._vectors(positions), within=self._within())[0]

    def best(self, question: Question, positions: np.ndarray, k: int, ties: np.ndarray) -> Found:
        """The k best; by MaxSim on held vectors on integer codes first, as exact search finds them."""
        if self._codes is None or not 0 < k < len(positions):
            return super().best(question, positions, k, ties)
        query = question.parts[TOKENS]
        found, scores = maxsim_topk(query, self._codes.after(1), k, ties, np.sort(positions))
        return Found(found[0], scores[0])

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        if self._index is not None:
            return self._index.stored(positions)
        if self.options.vectors == HELD:
            return self._material.documents.select(positions)
        made = self._material.encoder.encode_document([self._material.texts[i] for i in positions])
        return made.prefix(self._material.prepared.dim)

    def _within(self) -> TokenEmbeddings | None:
        """The whole collection, for a scorer that looks at all of it; not where its vectors are made when asked."""
        return None if self.options.vectors == ENCODE else self._material.documents


@lru_cache(maxsize=64)
def stage_of(scorer: str) -> type[ScorerStage]:
    """The stage that reranks by a scorer."""
    return type(f"{scorer.title()}Stage", (ScorerStage,), {"name": scorer, "__doc__": f"Reranks by {scorer}."})


def _scorer(name: str, options: RerankOptions, material: Material) -> scorers.Scorer | str:
    if name == scorers.DEFAULT:
        return name
    settings = ",".join(f"{key}={value}" for key, value in options.settings)
    model = material.prepared.source[1] if material.prepared.source else str(material.prepared.model["model"])
    return scorers.get(f"{name}:{settings}" if settings else name, model)


def _index_leaf(text: str) -> Leaf:
    """The stage of an index that stores vectors, from its text.

    Raises:
        InputError: it is none, or gives no vectors back.
    """
    tree = parse_system(text)
    if not isinstance(tree, Leaf) or not issubclass(tree.kind, IndexStage):
        raise InputError(f"Expected vectors={HELD}, {ENCODE} or an index such as plaid, got {text!r}: name one.")
    if "stored" not in index_class(tree.name, asdict(tree.options.settings)).can:
        raise InputError(f"The index {tree.name!r} does not give back the vectors that it stores: name another one.")
    return tree
