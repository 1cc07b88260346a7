"""The relevant documents that a search does not return, by the stage that dropped each: counted over a collection.

Here of systems; `lost_in_index.py` looks at the stages inside an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine import Collection
from engine.collection import require_judgements
from engine.retrieval import check_k
from workbench.experiments.progress import SILENT, Steps
from workbench.systems.material import Question
from workbench.systems.parts import order_of, reranked
from workbench.systems.stages import Reranker
from workbench.systems.system import System
from workbench.systems.tracing import dropped_by, outputs_of, place_in


@dataclass(frozen=True, eq=False)
class Lost:
    """A relevant document that is not among the results of its question.

    Args:
        query: Id of the question.
        document: Its id.
        grade: How relevant it is judged.
        stage: What dropped it.
    """

    query: str
    document: str
    grade: int
    stage: str


@dataclass(frozen=True)
class StageLoss:
    """What one stage costs over a collection.

    Args:
        stage: Its name, or its text in a system.
        lost: Relevant documents that it dropped.
        share: Share of all relevant documents.
        queries: Questions that lost at least one here.
    """

    stage: str
    lost: int
    share: float
    queries: int


Entry = TypeVar("Entry", bound=Lost)
Loss = TypeVar("Loss", bound=StageLoss)


@dataclass(frozen=True, eq=False)
class Losses(Generic[Entry, Loss]):
    """The relevant documents that a search does not return, and the stages that dropped them.

    Args:
        k: Results a question.
        relevant: Relevant documents of all questions looked at.
        found: How many are results.
        lost: The others.
        stages: A stage each that lost something, in the order in which an answer passes them.
    """

    k: int
    relevant: int
    found: int
    lost: tuple[Entry, ...]
    stages: tuple[Loss, ...]

    def __str__(self) -> str:
        """In one sentence."""
        parts = [f"{stage.lost:,}{'' if i else ' were lost'} at {stage.stage}" for i, stage in enumerate(self.stages)]
        said = f"Of {self.relevant:,} relevant documents {self.found:,} are among the first {self.k}"
        return f"{said}; of the others {', '.join(parts)}." if parts else f"{said}: none was lost."


@dataclass(frozen=True, eq=False)
class LostOnTheWay(Lost):
    """A relevant document that a stage of a system dropped.

    Args:
        rank: Its rank in that stage; None where it never gets one.
        back: Whether it is a result when every stage that finds documents sends on all that it has.
    """

    rank: int | None
    back: bool


@dataclass(frozen=True)
class PartLoss(StageLoss):
    """What one stage of a system costs.

    Args:
        back: How many become results when every stage that finds documents sends on all.
        depth: Documents that this stage would have to send on for half of those; None where none comes back.
    """

    back: int
    depth: int | None


SystemLosses = Losses[LostOnTheWay, PartLoss]


def losses_of(
    collection: Collection,
    k: int,
    lost: Callable[[str, Mapping[str, int]], Sequence[Entry]],
    by_stage: Callable[[Sequence[Entry], int], tuple[Loss, ...]],
    told: Callable[[int, int], bool | None],
) -> Losses[Entry, Loss]:
    """Ask all judged questions which of their relevant documents are lost.

    Args:
        collection: With judgements.
        k: Results a question.
        lost: Of a question and its relevant documents with their grades, those that are no results.
        by_stage: What each stage costs, of all that is lost and of the number of relevant documents.
        told: Called with (questions done, all); a yes ends with what was found so far.

    Raises:
        InputError: no judgements.
    """
    require_judgements(collection)
    relevant, found = 0, list[Entry]()
    for done, query in enumerate(collection.judged_queries, start=1):
        grades = collection.relevant(query)
        relevant += len(grades)
        found += lost(query, grades)
        if told(done, len(collection.judged_queries)):
            break
    return Losses(k, relevant, relevant - len(found), tuple(found), by_stage(found, relevant))


def counted(stage: str, lost: Sequence[Lost], relevant: int) -> tuple[str, int, float, int]:
    """The values of a `StageLoss`, of the documents that the stage dropped."""
    return stage, len(lost), len(lost) / relevant, len({entry.query for entry in lost})


def losses(system: System, k: int = 10, steps: Steps = SILENT) -> SystemLosses:
    """Find the stage that dropped each relevant document that a system does not return.

    Args:
        system: The system.
        k: Results a question.
        steps: Told of the progress; it may stop the work.

    Returns:
        The report.

    Raises:
        InputError: no judgements.
    """
    check_k(k)
    collection = system.collection
    require_judgements(collection)
    every = system.ask(list(collection.queries.values()))
    numbers = {query: number for number, query in enumerate(collection.queries)}
    return losses_of(
        collection, k, lambda query, grades: _lost(system, query, every[numbers[query]], grades, k),
        lambda lost, relevant: _by_stage(system, lost, relevant), lambda done, total: steps("trace", done, total),
    )  # fmt: skip


def _lost(system: System, query: str, question: Question, grades: Mapping[str, int], k: int) -> list[LostOnTheWay]:
    answer, found = system.answer(question, k), []
    missing = sorted(grades.keys() - set(answer.ids))
    if not missing:
        return []
    depths = {text: len(system) for text, part in order_of(system.root) if not isinstance(part.stage, Reranker)}
    whole = set(system.deeper(question, k, depths).ids) if system.root.parts else set()
    outputs = outputs_of(system, answer)
    ranks: dict[int, dict[int, int]] = {}  # of what came into a rerank, which is scored once for all
    for name in missing:
        position = system.place_of(name)
        part, _ = dropped_by(system, answer, position)
        inner = [outputs[id(entry)] for entry in part.parts]
        if isinstance(part.stage, Reranker):
            if id(part) not in ranks:
                order = reranked(part.stage, question, inner[0], system.material.ties).positions.tolist()
                ranks[id(part)] = {place: rank for rank, place in enumerate(order, start=1)}
            rank = ranks[id(part)].get(position)
        else:
            rank = place_in(system, part, inner, question, position, len(outputs[id(part)].positions) or k).rank
        found.append(LostOnTheWay(query, name, grades[name], part.own, rank, name in whole))
    return found


def _by_stage(system: System, lost: Sequence[LostOnTheWay], relevant: int) -> tuple[PartLoss, ...]:
    costs = []
    for text in dict.fromkeys(text for text, _ in order_of(system.root)):
        here = [entry for entry in lost if entry.stage == text]
        if not here:
            continue
        back = [entry for entry in here if entry.back]
        ranks = sorted(entry.rank for entry in back if entry.rank is not None)
        depth = ranks[(len(ranks) - 1) // 2] if ranks else None
        costs.append(PartLoss(*counted(text, here, relevant), len(back), depth))
    return tuple(costs)
