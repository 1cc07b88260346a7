"""The relevant documents that an index loses: the stage inside it that dropped each, and what wins them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.indexes import Index
from engine.indexes.trace import Trace
from engine.retrieval import check_k, id_order, rank_of
from workbench.experiments.progress import Progress, Stop
from workbench.exports import markdown_table
from workbench.systems.lost import Losses, Lost, StageLoss, counted, losses_of

MODEL, STORAGE = "exact MaxSim", "quantisation"
REMEDIES = {
    MODEL: "no index setting: the model ranks it below k, so train it or raise k",
    STORAGE: "store vectors with more bits",
}


@dataclass(frozen=True, eq=False)
class LostDocument(Lost):
    """A relevant document that an index does not return.

    Its stage is one inside the index, "quantisation" (its original vectors would have kept it), or "exact MaxSim" (not
    even exact search returns it: the model lost it).

    Args:
        setting: The setting that bounds the stage, or the stage where no setting does.
        rank_exact: Its rank by exact MaxSim on the original vectors, 1 is best.
        rank_stored: Its rank by exact MaxSim on the stored vectors; None when the model lost it.
        trace: What the search did with it; None when the model lost it, since no index could have helped.
    """

    setting: str
    rank_exact: int
    rank_stored: int | None = None
    trace: Trace | None = None


@dataclass(frozen=True)
class StageCost(StageLoss):
    """What one stage of an index costs.

    Args:
        setting: See `LostDocument`.
        remedy: Which setting would win them back.
    """

    setting: str
    remedy: str


IndexLosses = Losses[LostDocument, StageCost]


def lost_by_index(found: IndexLosses) -> int:
    """How many of the lost documents exact search would have returned."""
    return sum(entry.stage != MODEL for entry in found.lost)


def blame(trace: Trace) -> tuple[str, str]:
    """Which stage of an index lost a document that exact search returns, and the setting that bounds it.

    Args:
        trace: Trace of a document that is not a result.

    Returns:
        The stage's name and the setting.
    """
    assert trace.rank is None
    last = trace.stages[-1]
    if last.setting == "k" and last.name != "search":
        return STORAGE, STORAGE  # it reached the scores on stored vectors and was outranked there
    if last.name == "search" and trace.stored_rank > trace.k:
        return STORAGE, STORAGE
    return last.name, last.setting


def remedy(setting: str, trace: Trace | None) -> str:
    """What wins a lost document back.

    Args:
        setting: From `blame`, or MODEL.
        trace: Of the document; None where the model lost it.

    Returns:
        Words that follow "To win it back:".
    """
    return REMEDIES.get(setting) or (trace and trace.remedy) or f"raise {setting}"


def lost_documents(
    index: Index,
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    k: int = 10,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> IndexLosses:
    """Trace every relevant document that an index does not return.

    Args:
        index: Over the documents of the collection.
        collection: With judgements.
        documents: Vectors of its documents before they were indexed, in the order of the collection.
        queries: Vectors of its queries, in the order of the collection.
        k: Results a query.
        progress: Called with ("trace", queries done, all).
        stop: Asked after every query; a yes ends with what was traced so far.

    Returns:
        The report.

    Raises:
        InputError: no judgements, or an index that does not hold exactly the collection's documents.
    """
    check_k(k)
    ids = list(collection.documents)
    if sorted(index.ids) != sorted(ids) or len(documents) != len(ids) or len(queries) != len(collection.queries):
        raise InputError(
            f"Expected an index and vectors of all documents and queries of {collection.name!r}, got {len(index)} "
            f"indexed, {len(documents)} documents and {len(queries)} queries: pass those of the same collection."
        )
    position, ties = {name: number for number, name in enumerate(ids)}, id_order(ids)
    numbers = {query: number for number, query in enumerate(collection.queries)}

    def lost(query: str, grades: Mapping[str, int]) -> Iterator[LostDocument]:
        vectors = queries.select([numbers[query]])
        missing = sorted(grades.keys() - set(index.search(vectors, k)[0].ids))
        scores = maxsim(vectors, documents)[0] if missing else np.empty(0, np.float32)
        for name in missing:
            rank = rank_of(position[name], scores, ties)
            if rank > k:
                yield LostDocument(query, name, grades[name], MODEL, MODEL, rank)
            else:
                trace = index.trace(vectors, name, k)
                yield LostDocument(query, name, grades[name], *blame(trace), rank, trace.stored_rank, trace)

    def told(done: int, total: int) -> bool:
        if progress is not None:
            progress("trace", done, total)
        return stop is not None and stop()

    return losses_of(collection, k, lambda *asked: list(lost(*asked)), _costs, told)


def won_back(
    index: Index, collection: Collection, queries: TokenEmbeddings, report: IndexLosses
) -> list[tuple[dict[str, Any], int]]:
    """Try the search settings of a kind, cheapest first, on the questions that the index lost documents of.

    Args:
        index: The index of the report.
        collection: That of the report.
        queries: Vectors of its queries, in order.
        report: From `lost_documents`.

    Returns:
        Search settings, and how many come back with them of the documents that the stored vectors rank among the first
        k (no search setting can help the others); up to the first settings that bring back all.
    """
    lost = [entry for entry in report.lost if entry.rank_stored is not None and entry.rank_stored <= report.k]
    numbers = {query: number for number, query in enumerate(collection.queries)}
    asked = list(dict.fromkeys(entry.query for entry in lost))
    found: list[tuple[dict[str, Any], int]] = []
    if not lost:
        return found
    vectors = queries.select([numbers[query] for query in asked])
    for settings in index.ladder(index.settings):
        rankings = dict(zip(asked, index.tuned(**settings).search(vectors, report.k), strict=True))
        found.append((dict(settings), sum(entry.document in rankings[entry.query].ids for entry in lost)))
        if found[-1][1] == len(lost):
            break
    return found


def _costs(lost: Sequence[LostDocument], relevant: int) -> tuple[StageCost, ...]:
    groups: dict[tuple[str, str], list[LostDocument]] = {}
    for entry in lost:
        groups.setdefault((entry.stage, entry.setting), []).append(entry)

    def along_the_search(group: tuple[tuple[str, str], list[LostDocument]]) -> int:
        (stage, _), (first, *_) = group
        return 1000 if first.trace is None else len(first.trace.stages) + 100 * (stage == STORAGE)

    return tuple(
        StageCost(*counted(stage, here, relevant), setting, remedy(setting, here[0].trace))
        for (stage, setting), here in sorted(groups.items(), key=along_the_search)
    )


def costs_as_markdown(report: IndexLosses) -> str:
    """The table of a report in Markdown, with a line that sums it up."""
    head = ("stage", "relevant documents lost", "share", "queries", "what wins them back")
    rows = [(cost.stage, cost.lost, f"{cost.share:.1%}", cost.queries, cost.remedy) for cost in report.stages]
    total = f"Of {report.relevant} relevant documents {report.found} are among the first {report.k}; "
    return markdown_table(head, rows) + f"\n{total}the index lost {lost_by_index(report)} that exact search returns."
