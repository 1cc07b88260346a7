"""What the X-ray page draws, as JSON values: a document's way through a search, and where documents are lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.records import rounded
from apps.text import segments, visible
from engine import Collection
from engine.indexes.trace import Trace
from engine.tokens import Token
from workbench.systems.lost_in_index import STORAGE, IndexLosses, blame, lost_by_index, remedy

MOST_LOST = 100  # documents that are listed


def trace_record(
    trace: Trace, text: str, query_tokens: Sequence[Token], document_tokens: Sequence[Token]
) -> dict[str, Any]:
    """One document's way through one search.

    Args:
        trace: What the index says about the document.
        text: The document.
        query_tokens: m tokens.
        document_tokens: d tokens.

    Returns:
        The stages in order, ranks, the verdict in words, and for an index with cells how many query tokens probed
        the cell of each piece of the text.
    """
    return {
        "document": trace.document,
        "rank": trace.rank,
        "k": trace.k,
        "cut_by": trace.cut_by,
        "stages": [
            {"name": stage.name, "setting": stage.setting, "limit": float(stage.limit), "entered": stage.entered,
             "kept": stage.kept, "score": stage.score, "rank": stage.rank, "survived": stage.survived}
            for stage in trace.stages
        ],
        "stored_rank": trace.stored_rank, "stored_score": trace.stored_score,
        "original_rank": trace.original_rank, "original_score": trace.original_score,
        "verdict": verdict(trace),
        "notes": [visible(note) for note in trace.notes],
        "cells": _cells(trace, text, query_tokens, document_tokens),
    }  # fmt: skip


def verdict(trace: Trace) -> str:
    """What happened to the document, in one or two sentences."""
    if trace.rank is not None:
        return f"Found: it is result {trace.rank} of {trace.k}."
    if trace.original_rank is not None and trace.original_rank > trace.k:
        return (
            f"Not among the {trace.k} results, and no index could help: exact search ranks it {trace.original_rank:,}, "
            "so the model itself puts it there."
        )
    stage, setting = blame(trace)
    if stage == STORAGE:
        why = f"Lost by how vectors are stored: on the stored vectors it ranks {trace.stored_rank:,}."
    else:
        why = f"Lost at the stage {stage!r}; it would have ranked {trace.stored_rank:,} in the end."
    return f"{why} To win it back: {remedy(setting, trace)}."


def _cells(trace: Trace, text: str, query: Sequence[Token], document: Sequence[Token]) -> dict[str, Any] | None:
    cells = trace.tokens
    if cells is None or len(cells.cells) != len(document) or len(cells.probed) != len(query):
        return None
    probed = cells.probed.sum(axis=0)
    pieces = segments(text, document, [[i] for i in range(len(document))])
    for piece in pieces:
        units: Any = piece["units"]
        piece["probed"] = int(max((probed[i] for i in units), default=0))
        piece["cell"] = int(cells.cells[units[0]]) if units else None
    return {
        "segments": pieces,
        "query": [visible(token.text) for token in query],
        "hits": [int(count) for count in cells.probed.sum(axis=1)],
        "best": rounded(cells.cell_scores.max(axis=1), 3),
        "tokens": len(document),
        "reached": int((probed > 0).sum()),
        "cells": len(np.unique(cells.cells)),
    }


def lost_record(report: IndexLosses, collection: Collection) -> dict[str, Any]:
    """Where an index loses relevant documents.

    Args:
        report: What was found over all questions of a collection.
        collection: The collection, for texts and titles.

    Returns:
        Counts, one entry a stage, and the lost documents, those that exact search would have found first.
    """
    ordered = sorted(report.lost, key=lambda entry: (entry.rank_exact, entry.query, entry.document))
    return {
        "k": report.k, "relevant": report.relevant, "found": report.found, "by_index": lost_by_index(report),
        "costs": [
            {"stage": cost.stage, "lost": cost.lost, "share": cost.share, "queries": cost.queries,
             "remedy": cost.remedy}
            for cost in report.stages
        ],
        "lost": [
            {"question": visible(collection.queries[entry.query]), "document": entry.document, "stage": entry.stage,
             "grade": entry.grade, "rank_exact": entry.rank_exact, "rank_stored": entry.rank_stored}
            for entry in ordered[:MOST_LOST]
        ],
    }  # fmt: skip
