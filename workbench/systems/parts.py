"""Parts of a system that is built: stages, fusions and reranks, what each sends on, and what it did for a question."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine import Ranking
from workbench.systems.material import Question
from workbench.systems.stages import Finder, Found, Reranker, Stage
from workbench.systems.text import Fused, Reranked, Tree
from workbench.systems.weights import Weights


@dataclass(frozen=True, eq=False)
class Passed:
    """What one stage did for one question.

    Args:
        stage: Its text, or that of the fusion.
        entered: Documents that came in: those of the collection, or what the stage before sent on.
        found: What it sent on.
        milliseconds: Wall time.
    """

    stage: str
    entered: int
    found: Found
    milliseconds: float


Timed = tuple[float, int, int]  # milliseconds, documents that came in, documents that were sent on


def timed(passed: Passed) -> Timed:
    """What tables show of a stage's work for a question."""
    return passed.milliseconds, passed.entered, len(passed.found.positions)


@dataclass(frozen=True, eq=False)
class Answer(Ranking):
    """A ranking, and what each stage did for it.

    Args:
        passed: The stages in the order of the system's text, a fusion behind its parts.
    """

    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, eq=False)
class Built:
    """A part of a system that is built: a stage, a fusion or a rerank of other parts.

    Args:
        tree: What it was built from.
        stage: Of a leaf, or of the rerank.
        parts: Of a fusion, or the one that is reranked.
        weights: Of a fusion.

    Attributes:
        own: The text of this stage alone.
    """

    tree: Tree
    stage: Finder | Reranker | None = None
    parts: tuple[Built, ...] = ()
    weights: Weights | None = None
    own: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", str(self.tree.by if isinstance(self.tree, Reranked) else self.tree))

    def stages(self) -> list[tuple[str, Stage]]:
        """Text and stage of each leaf, in the order of the text."""
        inner = [pair for part in self.parts for pair in part.stages()]
        return inner if self.stage is None else [*inner, (self.own, self.stage)]


def order_of(part: Built) -> list[tuple[str, Built]]:
    """Stages in the order in which an answer passes them, each with its text."""
    return [pair for inner in part.parts for pair in order_of(inner)] + [(part.own, part)]


def sent_on(part: Built, k: int, followed: bool) -> int | None:
    """How many documents a part sends on; None for all that it has.

    Args:
        part: A stage, fusion or rerank.
        k: Results that are asked for.
        followed: Whether another part comes behind it.
    """
    if isinstance(part.stage, Reranker):
        return None if followed else k
    if isinstance(part.stage, Finder):
        own = part.stage.options.k
        if followed:
            return own or max(part.stage.depth, k)
    else:
        assert isinstance(part.tree, Fused)
        own = part.tree.options.k
        if followed:
            return own or None
    return min(own, k) if own else k


def reranked(stage: Reranker, question: Question, found: Found, ties: np.ndarray, limit: int | None = None) -> Found:
    """Order what was found anew; beyond the stage's `k` the order stays, with scores below those that it gave.

    Args:
        stage: What orders.
        question: The question.
        found: What came in.
        ties: int64 [documents], rank of each id.
        limit: Documents that are kept; all when None.

    Returns:
        The same documents; without those that score minus infinity.
    """
    depth = stage.options.k or len(found.positions)
    head, tail = found.positions[:depth], found.positions[depth:]
    best = stage.best(question, head, len(head) if limit is None else min(limit, len(head)), ties)
    below = (best.scores.min(initial=0.0) - 1 - np.arange(len(tail))).astype(np.float32)
    positions, scores = np.concatenate([best.positions, tail]), np.concatenate([best.scores, below])
    return Found(positions[:limit], scores[:limit], found.notes)
