"""Stages: what finds documents and what reranks them, each under a name in one table.

A stage is a subclass of `Finder` or `Reranker` in one file of this folder, and its line in `BUILT_IN`. Every kind of
index is a finder, and every scorer of the engine a reranker, without a line of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine import indexes
from engine.checks import changed_fields, require_known, require_whole
from engine.errors import InputError
from engine.maxsim import scorers

if TYPE_CHECKING:
    from workbench.systems.material import Material, Question

BUILT_IN = {
    "bm25": "workbench.systems.lexical:Bm25",
    "single": "workbench.systems.single:Single",
    "muvera": "workbench.systems.encodings:MuveraStage",
    "cross-encoder": "workbench.systems.cross_encoder:CrossEncoderStage",
}
TOKENS = "tokens"  # what stages of late interaction need of a question
OF_INDEXES, OF_SCORERS = "workbench.systems.late:stage_of", "workbench.systems.rerank:stage_of"
NUMBERS = {"int": (int, "a whole number"), "float": (float, "a number"), "str": (str, "a text")}


@dataclass(frozen=True)
class Options:
    """Base of the options of a stage: frozen, with defaults, checked in `__post_init__`.

    Args:
        k: Documents that the stage sends on, or that it reranks; 0 leaves it to the stage.
    """

    k: int = 0

    def __post_init__(self) -> None:
        require_whole("k", self.k, least=0)


@dataclass(frozen=True, eq=False)
class Found:
    """What a stage sends on for one question.

    Args:
        positions: int64 [n], positions of documents in their collection, best first, equal scores by id.
        scores: float32 [n], in the unit of the stage.
        notes: What the stage did beyond its options.
    """

    positions: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a stage would put one document.

    Args:
        rank: 1 is best; None where it would never come.
        score: In the unit of the stage; None where it has none.
        among: Of how many documents.
        remedy: What wins it back where depth does not.
        detail: Stages inside the stage, as JSON values, for a kind of index that has some.
    """

    rank: int | None
    score: float | None
    among: int
    remedy: str = ""
    detail: tuple[dict[str, Any], ...] = ()


class Stage(ABC):
    """What finders and rerankers share. A subclass sets the class attributes; the constructor builds what it needs.

    Attributes:
        name: In the text of a system.
        options_class: A frozen dataclass with defaults.
        positional: Options that need no name, in their order.
        reranks: Whether it orders what a stage before it found, rather than finding documents by itself.
        needs: What it has to know of a question beside its text, see `encode`; "" for nothing.
        timed: Questions that a clock asks it at most, one at a time: fewer where one takes seconds.
        packages: Distributions whose version can change its numbers; records name them.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[Options]] = Options
    positional: ClassVar[tuple[str, ...]] = ()
    reranks: ClassVar[bool]
    needs: str = ""
    timed: ClassVar[int] = 100
    packages: ClassVar[tuple[str, ...]] = ()
    options: Any
    build_seconds: float | None = 0.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Any:
        """Check options by name; words become the type of their default.

        Raises:
            InputError: an unknown option, where the sentence lists the known ones, or an impossible value.
        """
        known = {entry.name: entry for entry in fields(cls.options_class)}
        require_known(given, known, f"The stage {cls.name!r}")
        values = {name: converted(cls.name, name, value, str(known[name].type)) for name, value in given.items()}
        return cls.options_class(**values)

    @classmethod
    def changed(cls, options: Any) -> dict[str, Any]:
        """The options that are not the defaults, in the order of their declaration."""
        return changed_fields(options)

    @classmethod
    def check(cls, options: Any, material: Material) -> None:
        """Raise what would keep the stage from being built, before anything is: a missing extra, model or judgement."""

    def encode(self, texts: Sequence[str]) -> Any:
        """What `needs` names of n questions: n queries of `TokenEmbeddings`, or vectors [n, dim]."""
        raise NotImplementedError

    @classmethod
    def identity(cls, options: Any, material: Material) -> dict[str, Any]:
        """All that decides its numbers beside the vectors and texts of the collection, as JSON values."""
        return asdict(options)

    @property
    def holdings(self) -> dict[str, int]:
        """What the stage holds, by name, in bytes; what two stages share has one name."""
        return {}

    def describe(self) -> dict[str, Any]:
        """All options, and what else decides its numbers, as JSON values."""
        return asdict(self.options)

    def reasons(self, question: Question, position: int) -> tuple[tuple[str, float], ...] | None:
        """Words of the question and what each adds to the score of a document; None where the stage has no such sum."""
        return None

    def uncached(self) -> Stage:
        """The same without what it remembers of earlier questions, for clocks."""
        return self


class Finder(Stage):
    """Finds documents by itself.

    Attributes:
        depth: Documents that it sends on to a stage behind it where nobody says `k`.
    """

    reranks = False
    depth: ClassVar[int] = 1000

    @abstractmethod
    def find(self, question: Question, k: int, among: np.ndarray | None = None) -> Found:
        """The k best documents; fewer where there are no more.

        Args:
            question: The question.
            k: How many.
            among: int64, rising, positions of the documents that may be found; all when None.
        """

    @abstractmethod
    def place(self, question: Question, position: int, k: int) -> Place:
        """Where one document comes among all.

        Args:
            question: The question.
            position: Of the document in its collection.
            k: Documents that the stage sends on.
        """


class Reranker(Stage):
    """Orders what a stage before it found."""

    reranks = True

    @abstractmethod
    def score(self, question: Question, positions: np.ndarray) -> np.ndarray:
        """Scores of some documents, float32 [n]; higher is better."""

    def best(self, question: Question, positions: np.ndarray, k: int, ties: np.ndarray) -> Found:
        """The k best of some documents; a stage that can prove them without scoring all does so.

        Args:
            question: The question.
            positions: int64 [n], different documents.
            k: How many at most.
            ties: int64 [documents], rank of each id.
        """
        scores = self.score(question, positions).astype(np.float32) if len(positions) else np.empty(0, np.float32)
        positions, scores = positions[scores > -np.inf], scores[scores > -np.inf]
        order = in_order(scores, positions, ties)[:k]
        return Found(positions[order], scores[order])


def stage_class(name: str) -> type[Stage]:
    """The class of a stage.

    Raises:
        InputError: an unknown name; the sentence lists the known ones.
    """
    if name in BUILT_IN:
        return _named(BUILT_IN[name])
    # Those of this repository first: what other packages register takes reading the metadata of all that is installed.
    if name in indexes.BUILT_IN or (name not in scorers.KINDS and name in indexes.kinds()):
        return _named(OF_INDEXES)(name)
    if name in scorers.KINDS or name in scorers.names():
        return _named(OF_SCORERS)(name)
    raise InputError(
        f"Unknown stage {name!r}: these find documents: {', '.join(finders())}; these rerank them: "
        f"{', '.join(rerankers())}."
    )


def finders() -> list[str]:
    """Names of the stages that find documents."""
    own = [name for name in BUILT_IN if not _named(BUILT_IN[name]).reranks]
    return list(
        dict.fromkeys([*own, *indexes.kinds()])
    )  # MUVERA is a stage, and a kind of index that reranks by itself


def rerankers() -> list[str]:
    """Names of the stages that rerank what others found."""
    return [*scorers.names(), *(name for name in BUILT_IN if _named(BUILT_IN[name]).reranks)]


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def converted(stage: str, name: str, value: Any, kind: str) -> Any:
    """A word of a system's text as a value of an option.

    Raises:
        InputError: it is none of that type.
    """
    if not isinstance(value, str):
        return value
    wanted, spoken = NUMBERS.get(kind, NUMBERS["str"])
    try:
        return wanted(value)
    except ValueError:
        raise InputError(f"Expected {spoken} as {name} of {stage!r}, got {value!r}: write {name}=...") from None


def in_order(scores: np.ndarray, positions: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """The order of scored documents: best first, ties by id.

    Args:
        scores: float32 [n].
        positions: int64 [n].
        ties: int64 [documents], rank of each id among all.

    Returns:
        int64 [n], places in `positions`.
    """
    return np.lexsort((ties[positions], -scores))


def only(scores: np.ndarray, among: np.ndarray | None) -> np.ndarray:
    """Scores of all documents, with minus infinity for those that may not be found."""
    if among is None:
        return scores
    kept = np.full(len(scores), -np.inf, np.float32)
    kept[among] = scores[among]
    return kept
