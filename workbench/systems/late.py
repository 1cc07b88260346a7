"""Late interaction as a first stage: every kind of index, with its own settings as options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from engine import Ranking, TokenEmbeddings, maxsim
from engine.checks import require_known, require_whole
from engine.indexes import changed_settings, index_class
from engine.retrieval import rank_of
from engine.typed import json_or_text
from workbench.cache import cached_index, content_key, searched_bytes
from workbench.systems.material import Material, Question
from workbench.systems.stages import TOKENS, Finder, Found, Options, Place


class IndexOptions(Options):
    """Options of a stage that searches an index: `k`, and the settings of the kind.

    Args:
        k: See `Options`.
        settings: An object of the kind's `settings_class`.
    """

    def __init__(self, k: int, settings: Any) -> None:
        require_whole("k", k, least=0)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "settings", settings)

    settings: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexOptions) and (self.k, self.settings) == (other.k, other.settings)

    def __hash__(self) -> int:
        return hash((self.k, repr(self.settings)))


class IndexStage(Finder):
    """Searches an index of token vectors.

    Args:
        options: See `IndexOptions`.
        material: The collection.
    """

    depth: ClassVar[int] = 100
    needs = TOKENS

    def __init__(self, options: IndexOptions, material: Material) -> None:
        self.options, self._material = options, material
        documents, settings = material.documents, asdict(options.settings)
        self.index, self.build_seconds, _ = cached_index(
            self.name, material.ids, documents, scratch=material.scratch, **settings
        )

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> IndexOptions:
        """The options `k` and the settings of the kind."""
        values = {name: json_or_text(value) if isinstance(value, str) else value for name, value in given.items()}
        kind = index_class(cls.name, values)
        known = ("k", *(entry.name for entry in fields(kind.settings_class)))
        require_known(given, known, f"The stage {cls.name!r}")
        return IndexOptions(values.pop("k", 0), kind.parse_settings(values))

    @classmethod
    def changed(cls, options: IndexOptions) -> dict[str, Any]:
        """The options that are not the defaults."""
        return ({"k": options.k} if options.k else {}) | changed_settings(cls.name, asdict(options.settings))

    @classmethod
    def check(cls, options: IndexOptions, material: Material) -> None:
        """Raise unless the packages of the kind are there."""
        index_class(cls.name, asdict(options.settings)).check_installed()

    def encode(self, texts: Sequence[str]) -> TokenEmbeddings:
        """Token vectors of questions."""
        return self._material.tokens(texts)

    @classmethod
    def identity(cls, options: IndexOptions, material: Material) -> dict[str, Any]:
        """All settings."""
        return {"k": options.k, **asdict(options.settings)}

    @property
    def holdings(self) -> dict[str, int]:
        """The files that a search reads; nothing where they are on another machine."""
        size = searched_bytes(self.index)
        return {} if size is None else {f"{self.name} {content_key(self.describe())}": size}

    def describe(self) -> dict[str, Any]:
        """All settings."""
        return self.identity(self.options, self._material)

    def find(self, question: Question, k: int, among: np.ndarray | None = None) -> Found:
        """The k best documents of the index."""
        ranking: Ranking = self.index.search(question.parts[TOKENS], k, self._material.names(among))[0]
        position = self._material.position
        return Found(np.array([position[name] for name in ranking.ids], np.int64), ranking.scores, ranking.notes)

    def place(self, question: Question, position: int, k: int) -> Place:
        """Its rank by exact MaxSim on what the index stores, and the stages inside the index."""
        query, material = question.parts[TOKENS], self._material
        if "stored" not in self.index.abilities:
            scores = maxsim(query, material.documents)[0]
            remedy = "raise k, or search more of the index: it does not say what it looked at"
            return Place(rank_of(position, scores, material.ties), float(scores[position]), len(scores), remedy)
        trace = self.index.trace(query, material.ids[position], k)
        inside = tuple(dict(vars(stage)) for stage in trace.stages)
        remedy = trace.remedy if trace.rank is None and trace.stored_rank <= k and trace.remedy else ""
        return Place(trace.stored_rank, trace.stored_score, len(material.ids), remedy, inside)

    def stored(self, positions: np.ndarray) -> TokenEmbeddings:
        """The vectors of some documents as the index stores them."""
        return self.index.stored([self._material.ids[i] for i in positions])


@lru_cache(maxsize=64)
def stage_of(kind: str) -> type[IndexStage]:
    """The stage that searches a kind of index."""
    return type(f"{kind.title()}Stage", (IndexStage,), {"name": kind, "__doc__": f"Searches an index of kind {kind}."})
