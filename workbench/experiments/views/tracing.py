"""Where relevant documents were lost: the stage that dropped each one, counted over a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings, maxsim
from engine.collection import require_judgements
from engine.errors import InputError
from engine.indexes import Index
from engine.indexes.trace import Trace
from engine.retrieval import check_k, id_order, rank_of
from workbench.experiments.progress import Progress, Stop
from workbench.exports import markdown_table

MODEL, STORAGE = "exact MaxSim", "quantisation"
REMEDIES = {
    MODEL: "no index setting: the model ranks it below k, so train it or raise k",
    STORAGE: "store vectors with more bits",
}


@dataclass(frozen=True, eq=False)
class LostDocument:
    """A relevant document that is not among the k results of its query.

    Args:
        query: Its id.
        document: Its id.
        grade: How relevant it is judged.
        stage: What dropped it: the name of a stage of the search, "quantisation" (its original vectors would have
            kept it), or "exact MaxSim" (not even exact search returns it: the model lost it).
        setting: The setting that bounds the stage, or the stage where no setting does.
        rank_exact: Its rank by exact MaxSim on the original vectors, 1 is best.
        rank_stored: Its rank by exact MaxSim on the stored vectors; None when the model lost it.
        trace: What the search did with it; None when the model lost it, since no index could have helped.
    """

    query: str
    document: str
    grade: int
    stage: str
    setting: str
    rank_exact: int
    rank_stored: int | None = None
    trace: Trace | None = None


@dataclass(frozen=True)
class StageCost:
    """What one stage costs over a collection.

    Args:
        stage: Its name.
        setting: See `LostDocument`.
        lost: Relevant documents that it dropped.
        share: Share of all relevant documents.
        queries: How many queries lost at least one here.
        remedy: Which setting would win them back.
    """

    stage: str
    setting: str
    lost: int
    share: float
    queries: int
    remedy: str


@dataclass(frozen=True, eq=False)
class LostReport:
    """The lost documents of a collection and the stages that lost them.

    Args:
        k: Results a query.
        relevant: Relevant documents of all queries looked at.
        found: How many are among the k results.
        lost: The others.
        costs: One entry a stage that lost something, in the order of the search, the model last.
    """

    k: int
    relevant: int
    found: int
    lost: tuple[LostDocument, ...]
    costs: tuple[StageCost, ...]

    @property
    def lost_by_index(self) -> int:
        """How many exact search would have returned."""
        return sum(document.stage != MODEL for document in self.lost)


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
) -> LostReport:
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
    require_judgements(collection)
    chosen = collection.judged_queries
    relevant, lost = 0, []
    for done, query in enumerate(chosen, start=1):
        grades = collection.relevant(query)
        vectors = queries.select([numbers[query]])
        results = set(index.search(vectors, k)[0].ids)
        relevant += len(grades)
        missing = sorted(grades.keys() - results)
        scores = maxsim(vectors, documents)[0] if missing else np.empty(0, np.float32)
        for name in missing:
            rank = rank_of(position[name], scores, ties)
            if rank > k:
                lost.append(LostDocument(query, name, grades[name], MODEL, MODEL, rank))
            else:
                trace = index.trace(vectors, name, k)
                lost.append(LostDocument(query, name, grades[name], *blame(trace), rank, trace.stored_rank, trace))
        if progress is not None:
            progress("trace", done, len(chosen))
        if stop is not None and stop():
            break
    return LostReport(k, relevant, relevant - len(lost), tuple(lost), _costs(lost, relevant))


def won_back(
    index: Index, collection: Collection, queries: TokenEmbeddings, report: LostReport
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

    def along_the_search(pair: tuple[str, str]) -> int:
        trace = groups[pair][0].trace
        return 1000 if trace is None else len(trace.stages) + 100 * (pair[0] == STORAGE)

    return tuple(
        StageCost(
            stage,
            setting,
            len(groups[stage, setting]),
            len(groups[stage, setting]) / relevant,
            len({entry.query for entry in groups[stage, setting]}),
            remedy(setting, groups[stage, setting][0].trace),
        )
        for stage, setting in sorted(groups, key=along_the_search)
    )


def costs_as_markdown(report: LostReport) -> str:
    """The table of a report in Markdown, with a line that sums it up."""
    head = ("stage", "relevant documents lost", "share", "queries", "what wins them back")
    rows = [(cost.stage, cost.lost, f"{cost.share:.1%}", cost.queries, cost.remedy) for cost in report.costs]
    total = f"Of {report.relevant} relevant documents {report.found} are among the first {report.k}; "
    return markdown_table(head, rows) + f"\n{total}the index lost {report.lost_by_index} that exact search returns."
