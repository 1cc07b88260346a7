"""What happened to one document on its way through a search: the record behind the X-ray page and `workbench trace`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim import maxsim
from engine.retrieval import rank_of, top_positions


@dataclass(frozen=True)
class Stage:
    """One stage of a search, seen from one document.

    Args:
        name: What the stage does, in the words of the field.
        setting: The setting that bounds how many documents leave the stage.
        limit: Its value in this search.
        entered: Documents that came in.
        kept: Documents that went on.
        score: The document's score in this stage, higher is better, in the stage's own unit; None if it got none.
        rank: Its rank by that score among those that came in, 1 is best, ties by storage order; None if it got none.
        survived: Whether the document went on.
    """

    name: str
    setting: str
    limit: float
    entered: int
    kept: int
    score: float | None
    rank: int | None
    survived: bool


@dataclass(frozen=True, eq=False)
class TokenTrace:
    """Where the tokens of the document lie, and which query token looked there.

    Args:
        cells: int64 [d], for each document token the cell (PLAID: the centroid) that it belongs to.
        probed: bool [m, d], whether query token i probed the cell of document token j.
        cell_scores: float32 [m, d], score of query token i and the cell of document token j.
    """

    cells: np.ndarray
    probed: np.ndarray
    cell_scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Trace:
    """The way of one document through one search.

    Args:
        document: Its id.
        k: How many results were asked for.
        stages: In order; the document is in none of those after the one that cut it.
        cut_by: The setting that cut it ("k" when it came too low in the end), or None when it is a result.
        rank: Its rank among the results, 1 is best, or None.
        tokens: Cells and probes, for a kind that has cells.
        stored_score: MaxSim on the vectors that the index stores.
        stored_rank: Its rank by that score among all documents.
        original_score: MaxSim on the original vectors, when given.
        original_rank: Its rank by that score among all documents.
        notes: What the search did beyond its settings.
        remedy: What wins it back where `cut_by` cut it; see `Kind.remedy`.
    """

    document: str
    k: int
    stages: tuple[Stage, ...]
    cut_by: str | None
    rank: int | None
    tokens: TokenTrace | None
    stored_score: float
    stored_rank: int
    original_score: float | None
    original_rank: int | None
    notes: tuple[str, ...] = ()
    remedy: str | None = None


def stage(
    name: str,
    setting: str,
    limit: float,
    position: int,
    entered: np.ndarray,
    scores: np.ndarray | None,
    kept: np.ndarray,
) -> Stage:
    """Describe a stage from arrays of positions.

    Args:
        name: See `Stage`.
        setting: See `Stage`.
        limit: See `Stage`.
        position: Position of the document that is followed.
        entered: int [n], positions that came in, rising.
        scores: [n], their scores, or None where the stage has none.
        kept: int, positions that went on.

    Returns:
        The stage.
    """
    at = int(np.searchsorted(entered, position))
    score = rank = None
    if scores is not None and at < len(entered) and entered[at] == position:
        score = float(scores[at])
        rank = 1 + int((scores > scores[at]).sum()) + int((scores[:at] == scores[at]).sum())
    survived = bool(np.isin(position, kept))
    return Stage(name, setting, limit, len(entered), len(kept), score, rank, survived)


def finish(
    document: str,
    position: int,
    k: int,
    stages: tuple[Stage, ...],
    tokens: TokenTrace | None,
    tie_order: np.ndarray,
    stored: np.ndarray,
    original: np.ndarray | None,
    notes: tuple[str, ...] = (),
) -> Trace:
    """Put a trace together.

    Args:
        document: Its id.
        position: Its storage position.
        k: How many results were asked for.
        stages: All stages of the search; those after the one that cut the document are dropped here.
        tokens: See `Trace`.
        tie_order: int [n], see `top_positions`.
        stored: float32 [n], MaxSim on the stored vectors.
        original: float32 [n], MaxSim on the original vectors, or None.
        notes: See `Trace`.

    Returns:
        The trace.
    """
    cut = next((i for i, entry in enumerate(stages) if not entry.survived), len(stages) - 1)
    last = stages[cut]
    return Trace(
        document,
        k,
        stages[: cut + 1],
        None if last.survived else last.setting,
        last.rank if last.survived else None,
        tokens,
        float(stored[position]),
        rank_of(position, stored, tie_order),
        None if original is None else float(original[position]),
        None if original is None else rank_of(position, original, tie_order),
        notes,
    )


def original_scores(query: TokenEmbeddings, originals: TokenEmbeddings | None, n: int) -> np.ndarray | None:
    """MaxSim on the original vectors of all n documents, or None when they are not given."""
    if originals is None:
        return None
    if len(originals) != n:
        raise InputError(
            f"Expected the original vectors of all {n} documents in storage order, got {len(originals)} items: select "
            "them by index.ids."
        )
    return maxsim(query, originals)[0]


def exact_stage(position: int, scores: np.ndarray, tie_order: np.ndarray, entered: np.ndarray, k: int) -> Stage:
    """The last stage of every kind: MaxSim on stored vectors, the k best stay, ties by id.

    Args:
        position: Position of the document that is followed.
        scores: float32 [n], of the documents that came in.
        tie_order: int [n], theirs.
        entered: int64 [n], their positions, rising.
        k: How many stay.

    Returns:
        The stage; its rank is the rank among the results.
    """
    best = top_positions(scores, tie_order, k)
    described = stage("exact scores", "k", k, position, entered, scores, entered[best])
    order = top_positions(scores, tie_order, len(scores))
    at = np.flatnonzero(entered[order] == position)
    rank = int(at[0]) + 1 if len(at) else None
    return replace(described, rank=rank)
