"""Search in stages: probe, candidates, centroid scores, refined scores, and exact scores on stored vectors.

After PLAID (Santhanam et al., 2022), with one stage more. The stages choose which documents get a closer look; every
score that leaves here is MaxSim in float32 on the vectors that the index stores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.crew import Crew, listed_by
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.loops import LISTS, ROWS, SUMS, Listed, collect, gather
from engine.indexes.plaid.probing import best_probes, list_weights, probe_counts, set_limits
from engine.indexes.plaid.query import HEAVY_MARGIN, HEAVY_REACH, ByteRange, byte_range, set_range
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.threads import thread_count

WORTH_WAKING = 8192  # tokens of an index below which one thread is done before another is awake


@dataclass(frozen=True, eq=False)
class Layout:
    """The arrays that a search reads.

    Args:
        codec: Centroids and quantiser.
        offsets: int64 [slots + 1], tokens of each slot. A slot is a document's place in the files; it never changes.
        codes: [tokens] centroid numbers.
        packed: uint8 [tokens, row size] residuals.
        lists: Inverted lists, which together cover every slot.
        alive: uint8 [slots], 0 after removal and for documents without vectors.
    """

    codec: Codec
    offsets: np.ndarray
    codes: np.ndarray
    packed: np.ndarray
    lists: tuple[Lists, ...]
    alive: np.ndarray


@dataclass(frozen=True, eq=False)
class Stages:
    """What each stage of one search left.

    Args:
        query: float32 [query tokens, dim].
        probes: int64 [query tokens, widest], centroids by score, -1 behind the last of a query token, and everywhere
            where the candidates were named.
        found: int32, slots in the probed lists, in no order.
        points: int32, what the probed lists alone say of the score of each, in a unit of their own.
        candidates: int64, slots that got a score from their centroids, rising.
        coarse: float64, those scores; of those near the best, where it has heavy tokens, with their residuals.
        refined: int64, slots whose centroid scores were refined by residuals, rising.
        fine: float32, those scores; None where all of them went on unseen.
        survivors: int64, slots that got a score from their stored vectors, rising.
        scores: float32, those scores: MaxSim on the stored vectors.
        notes: Where the search went beyond its settings.
    """

    query: np.ndarray
    probes: np.ndarray
    found: np.ndarray
    points: np.ndarray
    candidates: np.ndarray
    coarse: np.ndarray
    refined: np.ndarray
    fine: np.ndarray | None
    survivors: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...]


def run(
    layout: Layout,
    settings: PlaidSettings,
    query: np.ndarray,
    k: int,
    allowed: np.ndarray,
    threads: int = 0,
    ties: np.ndarray | None = None,
    named: bool = False,
) -> Stages:
    """Run all stages for one query.

    Args:
        layout: The index.
        settings: Those of a search are used, from `settings.for_documents`.
        query: [m, dim] float16 or float32, m at least 1.
        k: How many documents are wanted.
        allowed: uint8 [slots], 1 for documents that may be found.
        threads: How many to use, 0 for all; the result does not depend on it.
        ties: int [slots], lower goes on among equal scores at a cut; slots when None.
        named: Whether somebody has chosen the documents that are allowed, such as another system: where they are no
            more than n_candidates, all of them are candidates, and none is looked for in the lists.

    Returns:
        What every stage left; the best k of `survivors` are the result.
    """
    query, codec = query.astype(np.float32), layout.codec
    count = int(np.count_nonzero(allowed))
    wanted, named = min(k, count), named and count <= settings.n_candidates
    n_full = max(settings.n_full_scores, wanted)
    slots = len(layout.alive)
    ties = np.arange(slots) if ties is None else ties
    refines, most = codec.refines, max(settings.n_refined, n_full)
    room = (max(settings.n_candidates, wanted), most, n_full if refines else most)
    counts = (min(room[0], slots), min(room[1], slots), min(room[2], slots))
    with _crew(layout, query, counts, settings.n_probe, threads) as crew:
        scale = _score_all(layout, settings, crew, query)
        if named:
            found = np.flatnonzero(allowed).astype(np.int32)
            probes, points, notes = crew.listed.probes, np.zeros(count, np.int32), ()
        else:
            probes, found, points, notes = _probe(layout, crew, query, wanted, allowed)
        candidates = np.sort(found[best_positions(points, room[0], ties, found)]).astype(np.int64)
        sums = crew.coarse(candidates)
        if n_full > settings.n_full_scores:
            notes += (f"n_full_scores raised from {settings.n_full_scores} to {n_full} to return {wanted} documents",)
        coarse = sums * scale.step + float(scale.low.sum(dtype=np.float64))
        near, margin = np.arange(len(candidates)), settings.centroid_margin * len(query)
        if refines and crew.tables.heavy.any() and len(candidates) > n_full:
            near = near_best(sums, n_full, HEAVY_REACH * margin / scale.step, len(sums), ties, candidates)
            margin *= HEAVY_MARGIN
            coarse[near] = sums = crew.heavy(near)
        else:
            margin /= scale.step
        chosen = near_best(sums, n_full, margin, most, ties, candidates[near])
        refined = candidates[near[chosen]]
        fine = crew.fine(refined, chosen) if refines and len(refined) > n_full else None
        survivors = refined if fine is None else refined[best_positions(fine, n_full, ties, refined)]
        scores = crew.exact(survivors)
    return Stages(query, probes, found, points, candidates, coarse, refined, fine, survivors, scores, notes)


def _crew(layout: Layout, query: np.ndarray, room: tuple[int, int, int], n_probe: int, threads: int) -> Crew:
    """Threads for one query."""
    threads = (threads or thread_count()) if len(layout.codes) >= WORTH_WAKING else 1
    stored = layout.codec.stored(layout.offsets, layout.codes, layout.packed)
    return Crew(layout.codec, stored, layout.lists, query, room, min(n_probe, len(layout.codec.centroids)), threads)


def _score_all(layout: Layout, settings: PlaidSettings, crew: Crew, query: np.ndarray) -> ByteRange:
    """Score all centroids, and note those that may be probes; returns what their bytes stand for."""
    codec = layout.codec
    crew.work(SUMS, len(codec.centroids))
    highest = set_limits(crew.tables, crew.listed.wanted)
    top = crew.rounded.scores(highest[:, None])[:, 0]
    scale = byte_range(codec.centre, query, top, settings.centroid_threshold)
    set_range(crew.tables, scale, crew.rounded)
    crew.work(ROWS, len(codec.centroids))
    return scale


def _probe(
    layout: Layout, crew: Crew, query: np.ndarray, wanted: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Probe, and probe wider until there are as many documents as wanted.

    Returns:
        The probes, the documents found with their points, and notes.
    """
    n, listed, middle = len(layout.codec.centroids), crew.listed, query @ layout.codec.centre
    asked = n_probe = int(listed.wanted.min())
    set_probes(crew, listed, middle)
    crew.work(LISTS, len(listed.counts))
    while True:
        found, points = _collected(listed, allowed)
        if n_probe == n or len(found) >= wanted:
            break
        n_probe = min(2 * n_probe, n)
        counts = probe_counts(crew.tables.heavy, len(query), n_probe, n)
        listed = listed_by(layout.lists, counts, len(layout.alive), crew.memory)
        set_probes(crew, listed, middle)
        collect(listed, 0, len(listed.counts))
    notes = (f"n_probe widened from {asked} to {n_probe} to find {wanted} documents",) if n_probe > asked else ()
    return listed.probes, found, points, notes


def set_probes(crew: Crew, listed: Listed, middle: np.ndarray) -> None:
    """Choose as many probes as are wanted, and what they give."""
    listed.probes[:], sums = best_probes(crew.tables, listed.wanted)
    listed.weights[:] = list_weights(crew.rounded.scores(sums), middle, listed.wanted)


def _collected(listed: Listed, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The documents that are listed and allowed, int32, and their points, int32."""
    most = int(listed.counts.sum()) + 1
    found, points = np.empty(most, np.int32), np.empty(most, np.int32)
    count = gather(listed, allowed, found, points)
    return found[:count], points[:count]


def exact(layout: Layout, query: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """MaxSim on the stored vectors of any documents.

    Args:
        layout: The index.
        query: [m, dim] float16 or float32.
        slots: int64 [n].

    Returns:
        float32 [n], minus infinity for a document without vectors.
    """
    scores = np.full(len(slots), -np.inf, np.float32)
    some = np.flatnonzero(layout.offsets[slots + 1] > layout.offsets[slots])  # the kernel takes no others
    with _crew(layout, query.astype(np.float32), (0, 0, len(some)), 1, 0) as crew:
        scores[some] = crew.exact(slots[some])
    return scores


def near_best(
    scores: np.ndarray,
    n: int,
    margin: float,
    most: int,
    ties: np.ndarray | None = None,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """Positions of the n highest scores and of those at most `margin` below, rising.

    There are at most the larger of n and `most`, the highest, among equal scores at the edge as
    `best_positions` chooses.
    """
    if n >= len(scores):
        return np.arange(len(scores))
    near = np.flatnonzero(scores >= np.partition(scores, len(scores) - n)[len(scores) - n] - margin)
    return near[best_positions(scores[near], max(n, most), ties, near if places is None else places[near])]


def best_positions(
    scores: np.ndarray, n: int, ties: np.ndarray | None = None, places: np.ndarray | None = None
) -> np.ndarray:
    """Positions of the n highest scores, rising.

    Among equal scores at the edge are those whose places (their positions when None) come first in `ties`, or the
    first positions.
    """
    if n >= len(scores):
        return np.arange(len(scores))
    edge = np.partition(scores, len(scores) - n)[len(scores) - n]
    chosen = scores > edge
    equal, room = np.flatnonzero(scores == edge), n - int(np.count_nonzero(chosen))
    if ties is not None and room < len(equal):
        order = ties[equal if places is None else places[equal]]
        equal = equal[np.argpartition(order, room - 1)]
    chosen[equal[:room]] = True
    return np.flatnonzero(chosen)
