"""What inverted lists give to documents, beside the same in a few lines of numpy."""

import numpy as np
import pytest

from engine.indexes.plaid.crew import listed_by
from engine.indexes.plaid.inverted import Lists, build
from engine.indexes.plaid.loops import NARROWEST, collect, gather
from engine.indexes.plaid.room import Room


def lists_of(rng, first, last, slots, centroids) -> Lists:
    """Lists of the slots first to last; each of them has a token at centroid 0."""
    lengths = np.zeros(slots, np.int64)
    lengths[first:last] = rng.integers(1, 4, last - first)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes = rng.integers(0, centroids, offsets[-1]).astype(np.uint16)
    codes[offsets[first:last]] = 0
    return build(codes[: offsets[last]], offsets[: last + 1], first, centroids)


def given(lists, probes, weights, slots) -> np.ndarray:
    """Points of each slot: for each query token the weight of the first of its probes that lists it."""
    points = np.zeros(slots, np.int64)
    for centroids, gains in zip(probes, weights, strict=True):
        mine = np.zeros(slots, np.int64)
        for centroid, gain in reversed(list(zip(centroids, gains, strict=True))):
            for some in lists:
                mine[some.documents[some.offsets[centroid] : some.offsets[centroid + 1]]] = gain
        points += mine
    return points


@pytest.mark.parametrize("slots", [1, 100, NARROWEST, NARROWEST + 1, 5 * NARROWEST + 7])
@pytest.mark.parametrize("at", [0.6, 1.0])
def test_each_query_token_gives_the_weight_of_its_best_probe_that_lists_a_document(slots, at):
    rng, centroids, cut = np.random.default_rng(slots), 40, int(at * slots)
    lists = (lists_of(rng, 0, cut, slots, centroids), lists_of(rng, cut, slots, slots, centroids))[: 1 + (at < 1)]
    memory = Room()
    for m in (1, 7):
        memory.begin()
        probes = np.stack([rng.permutation(centroids)[:5] for _ in range(m)])
        probes[0, 2] = 0  # which lists all documents: no room is left in a range
        listed = listed_by(lists, rng.integers(3, 6, m), slots, memory)
        listed.probes[:] = probes[:, : listed.probes.shape[1]]
        listed.weights[:] = np.sort(rng.integers(1, 9000, listed.probes.shape))[:, ::-1]
        allowed = (rng.random(slots) < 0.9).astype(np.uint8)
        for number in reversed(range(len(listed.counts))):
            collect(listed, number, number + 1)
        found, points = np.empty(slots + 1, np.int32), np.empty(slots + 1, np.int32)
        count = gather(listed, allowed, found, points)
        used = np.arange(listed.probes.shape[1]) < listed.wanted[:, None]
        expected = given(lists, listed.probes, np.where(used, listed.weights, 0), slots)
        assert sorted(found[:count]) == np.flatnonzero((expected > 0) & (allowed > 0)).tolist()
        np.testing.assert_array_equal(points[:count], expected[found[:count]])
        assert not memory.zeros(slots).any()
