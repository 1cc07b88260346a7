"""The first stage of a search: for each query token the centroids with the highest scores, looked for by group.

A query token meets the middles of all groups and then the members of the groups that score highest. The scores of what
it meets are float32 products, as a table over all centroids would have them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.indexes.plaid.groups import Groups
from engine.simd.jit import kernel
from engine.simd.kernels import max_products

LEAST = 16  # groups whose members a query token meets, at least
FEW = 64  # up to so many probes are kept in order while they are found


class Probes(NamedTuple):
    """What is asked of the centroids, and what comes out.

    Args:
        query: float32, flat [m, dim].
        looked: int64 [1], groups whose members a query token meets.
        found: int64 [m, n_probe], centroids by falling score, the lower number first among equals.
        scores: float32 [m, n_probe].
    """

    query: np.ndarray
    looked: np.ndarray
    found: np.ndarray
    scores: np.ndarray


def groups_looked_into(n_probe: int, starts: np.ndarray) -> int:
    """How many groups a query token looks into, for so many probes: enough to hold them, whichever they are.

    Args:
        n_probe: Probes of each query token.
        starts: int64 [g + 1], where each group of centroids begins.
    """
    held = np.cumsum(np.sort(np.diff(starts)))
    return min(len(held), max(LEAST, 2 * n_probe, int(np.searchsorted(held, n_probe)) + 1))


def probes_of(groups: Groups, query: np.ndarray, n_probe: int) -> Probes:
    """Ask for probes, n_probe at most as many as there are centroids; `query` is float32 [m, dim]."""
    looked = np.array([groups_looked_into(n_probe, groups.starts)])
    shape = (len(query), n_probe)
    return Probes(
        np.ascontiguousarray(query).reshape(-1), looked, np.empty(shape, np.int64), np.empty(shape, np.float32)
    )


@kernel
def probe(panels, probes, first, last):
    """Find the probes of the query tokens first to last; `panels` is a `groups.Panels`."""
    groups, looked, dim = len(panels.starts) - 1, probes.looked[0], panels.dim
    middles, best = np.empty(panels.width, np.float32), np.empty(looked, np.float32)
    chosen, widest = np.empty(looked, np.int64), 0
    for g in range(groups):
        widest = max(widest, panels.places[g + 1] - panels.places[g])
    values = np.empty(widest, np.float32)
    for token in range(first, last):
        if looked < groups:
            middles[:] = -np.inf
            max_products(probes.query, token, token + 1, dim, panels.middles, panels.width, middles)
            best[:] = -np.inf
            for g in range(groups):
                if middles[g] > best[looked - 1]:
                    insert(best, chosen, middles[g], g)
        else:
            for g in range(groups):
                chosen[g] = g
        found, scores = probes.found[token], probes.scores[token]
        if len(found) <= FEW:
            scores[:] = -np.inf
            found[:] = len(panels.members)
            for k in range(looked):
                _meet(panels, probes.query, token, chosen[k], values)
                start = panels.starts[chosen[k]]
                for j in range(panels.starts[chosen[k] + 1] - start):
                    number = panels.members[start + j]
                    last_score = scores[len(scores) - 1]
                    if values[j] > last_score or (values[j] == last_score and number < found[len(found) - 1]):
                        insert(scores, found, values[j], number)
        else:
            _sorted_members(panels, probes.query, token, chosen, values, found, scores)


@kernel
def _meet(panels, query, token, group, values):
    """values[j] = the score of member j of a group."""
    place, dim = panels.places[group], panels.dim
    width = panels.places[group + 1] - place
    values[:width] = -np.inf
    some = panels.centroids[dim * place : dim * (place + width)]
    max_products(query, token, token + 1, dim, some, width, values)


@kernel
def _sorted_members(panels, query, token, chosen, values, found, scores):
    """All members of the groups chosen, sorted; the first of them are the probes."""
    total = 0
    for g in chosen:
        total += panels.starts[g + 1] - panels.starts[g]
    numbers, met, at = np.empty(total, np.int64), np.empty(total, np.float32), 0
    for g in chosen:
        _meet(panels, query, token, g, values)
        start, count = panels.starts[g], panels.starts[g + 1] - panels.starts[g]
        for j in range(count):
            numbers[at + j], met[at + j] = panels.members[start + j], values[j]
        at += count
    order = np.argsort(numbers)
    order = order[np.argsort(-met[order], kind="mergesort")]
    for rank in range(len(found)):
        found[rank], scores[rank] = numbers[order[rank]], met[order[rank]]


@kernel
def insert(best, which, value, number):
    """Put a value into a falling sequence, of equals the lower number first; the last of the sequence drops out."""
    at = len(best) - 1
    while at > 0 and (value > best[at - 1] or (value == best[at - 1] and number < which[at - 1])):
        best[at] = best[at - 1]
        which[at] = which[at - 1]
        at -= 1
    best[at] = value
    which[at] = number
