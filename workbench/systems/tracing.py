"""Where a document was lost on its way through the stages of a system, and what would win it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.retrieval import check_k, rank_of
from workbench.systems.fusion import fuse
from workbench.systems.material import Question
from workbench.systems.parts import Answer, Built, order_of, sent_on
from workbench.systems.stages import Finder, Found, Place, Reranker
from workbench.systems.system import System
from workbench.systems.text import Fused


@dataclass(frozen=True)
class StageTrace:
    """One stage as one document saw it.

    Args:
        stage: Its text.
        entered: Documents that came in.
        sent: Documents that it sent on.
        came: Whether the document came in.
        survived: Whether it was sent on.
        rank: Its rank in this stage, 1 is best: among all documents where the stage finds them, else among those that
            came in (and where it would be, had it come in); None where it never gets one.
        score: Its score there, in the unit of the stage.
        detail: The stages inside a kind of index, as JSON values.
    """

    stage: str
    entered: int
    sent: int
    came: bool
    survived: bool
    rank: int | None
    score: float | None
    detail: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class SystemTrace:
    """The way of one document through one search of a system.

    Args:
        question: Its text.
        document: Its id.
        k: Results that were asked for.
        stages: In the order in which an answer passes them.
        rank: Its rank among the results, or None.
        lost_at: Text of the stage that dropped it; empty where it is a result.
        depth: Documents that this stage would have to send on; None where no number helps.
        rank_then: Its rank among the results if it did; None where it is none even then.
        remedy: What wins it back, in words.
    """

    question: str
    document: str
    k: int
    stages: tuple[StageTrace, ...]
    rank: int | None
    lost_at: str = ""
    depth: int | None = None
    rank_then: int | None = None
    remedy: str = ""

    def __str__(self) -> str:
        if self.rank is not None:
            return f"{self.document} is result {self.rank} of {self.k}."
        return f"{self.document} was lost at {self.lost_at}. To win it back: {self.remedy}."


def trace(system: System, question: str, document: str, k: int = 10) -> SystemTrace:
    """Follow one document through every stage of a system.

    Args:
        system: The system.
        question: Its text.
        document: An id of its collection.
        k: Results.

    Returns:
        What each stage did with it, and what would win it back.

    Raises:
        NotFoundError: no such document.
        InputError: no question, or k below 1.
    """
    check_k(k)
    position, asked = system.place_of(document), system.ask([question])[0]
    answer = system.answer(asked, k)
    stages = _stages(system, asked, position, k, answer)
    if document in answer.ids:
        return SystemTrace(question, document, k, stages, answer.ids.index(document) + 1)
    part, followed = dropped_by(system, answer, position)
    depths, said = _depths(system, part, asked, position, sent_on(part, k, followed) or k)
    depth = max(depths.values()) if depths else None
    then = None if isinstance(part.stage, Reranker) or not depths else _rank_with(system, asked, document, k, depths)
    remedy = said or _remedy(system, part, k, depth, then, stages)
    if isinstance(part.stage, Reranker):
        entered = outputs_of(system, answer)[id(next(iter(part.parts)))].positions
        at = int(np.flatnonzero(entered == position)[0]) + 1
        remedy = _unread(part, at, stages) or remedy
    return SystemTrace(question, document, k, stages, None, part.own, depth, then, remedy)


def dropped_by(system: System, answer: Answer, position: int) -> tuple[Built, bool]:
    """The part of a system that dropped a document that is no result, and whether another part comes behind it.

    Args:
        system: The system.
        answer: Its answer.
        position: Of the document.

    Returns:
        The last part whose own parts sent it on: a fusion where one did, and where none of its parts found it.
    """
    outputs = outputs_of(system, answer)
    part: Built = system.root
    followed = False
    while part.parts and not any(position in outputs[id(inner)].positions for inner in part.parts):
        if len(part.parts) > 1:  # several looked and none found it
            return part, followed
        part, followed = next(iter(part.parts)), True
    return part, followed


def outputs_of(system: System, answer: Answer) -> dict[int, Found]:
    """What each part of a system sent on, by the part's `id`."""
    return {id(part): entry.found for (_, part), entry in zip(order_of(system.root), answer.passed, strict=True)}


def _stages(system: System, question: Question, position: int, k: int, answer: Answer) -> tuple[StageTrace, ...]:
    found = []
    outputs: dict[int, Found] = {}
    for (text, part), passed in zip(order_of(system.root), answer.passed, strict=True):
        outputs[id(part)] = passed.found
        inner = [outputs[id(entry)] for entry in part.parts]
        came = not inner or any(position in entry.positions for entry in inner)
        place = place_in(system, part, inner, question, position, len(passed.found.positions) or k)
        found.append(
            StageTrace(text, passed.entered, len(passed.found.positions), came, position in passed.found.positions,
                       place.rank, place.score, place.detail)
        )  # fmt: skip
    return tuple(found)


def place_in(
    system: System, part: Built, inner: Sequence[Found], question: Question, position: int, k: int
) -> Place:  # fmt: skip
    """Rank and score of a document in a part."""
    if isinstance(part.stage, Finder):
        return part.stage.place(question, position, k)
    ties = system.material.ties
    if isinstance(part.stage, Reranker):
        depth = part.stage.options.k or len(inner[0].positions)
        rivals = np.setdiff1d(inner[0].positions[:depth], [position])
        scores = part.stage.score(question, np.append(rivals, position))
        mine = float(scores[-1])
        if mine == -np.inf:
            return Place(None, None, len(rivals) + 1)
        return Place(rank_of(-1, scores, ties[np.append(rivals, position)]), mine, len(rivals) + 1)
    assert isinstance(part.tree, Fused)
    assert part.weights is not None
    whole = fuse(inner, part.tree.options, part.weights.of(question.text), ties)
    at = np.flatnonzero(whole.positions == position)
    if not len(at):
        return Place(None, None, len(whole.positions))
    return Place(int(at[0]) + 1, float(whole.scores[at[0]]), len(whole.positions))


def _depths(
    system: System, part: Built, question: Question, position: int, limit: int
) -> tuple[dict[str, int], str]:  # fmt: skip
    """Depths with which the part that dropped a document sends it on, or what is to be done where depth is no help."""
    if isinstance(part.stage, Finder):
        place = part.stage.place(question, position, limit)
        if place.rank is None or place.remedy:
            return {}, place.remedy or "no depth of this stage brings it"
        return {part.own: max(place.rank, limit + 1)}, ""
    if isinstance(part.stage, Reranker):
        return {part.own: limit}, ""
    looked = [_depths(system, inner, question, position, 1) for inner in part.parts]
    reachable = [depths for depths, _ in looked if depths]
    if not reachable:
        return {}, "; ".join(dict.fromkeys(said for _, said in looked if said))
    return {**min(reachable, key=lambda depths: max(depths.values())), part.own: len(system)}, ""


def _rank_with(system: System, question: Question, document: str, k: int, depths: dict[str, int]) -> int | None:
    ids = system.deeper(question, k, depths).ids
    return ids.index(document) + 1 if document in ids else None


def _remedy(
    system: System, part: Built, k: int, depth: int | None, then: int | None, stages: Sequence[StageTrace]
) -> str:
    """What wins a document back, in words that follow "To win it back:"."""
    here = next(stage for stage in stages if stage.stage == part.own)
    if isinstance(part.stage, Reranker):
        place = f"{part.own} ranks it {here.rank:,}" if here.rank is not None else f"{part.own} gives it no score"
        return f"raise k, or rank by something else: {place} of {here.entered:,}"
    if part is system.root:
        return f"raise k to {depth:,}, or let a stage behind {part.own} order what it finds"
    if then is not None:
        return f"let {part.own} send on {depth:,}: it is result {then} of {k} then"
    return f"more depth of {part.own} does not: sent on at {depth:,}, it is ranked beyond {k} by what follows"


def _unread(part: Built, at: int, stages: Sequence[StageTrace]) -> str:
    """What helps a document that came in behind those that a rerank looks at; nothing where it was looked at."""
    reads = part.stage.options.k if part.stage is not None else 0
    if not reads or at <= reads:
        return ""
    rank = next(stage.rank for stage in stages if stage.stage == part.own)
    return f"let {part.own} read {at:,} documents: beside those that it read it would rank {rank:,}" if rank else ""
