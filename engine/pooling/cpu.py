"""The compiled loops of pooling."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel
from engine.simd.kernels import widen


@kernel
def link_one(distance, first, second, height):
    """Ward's linkage of n tokens by chains of nearest neighbours (Murtagh, 1983; Müllner, 2011, arXiv 1109.2378).

    Args:
        distance: float64 [n, n], symmetric, overwritten.
        first: int32 [n - 1], written: a token of one of the two clusters that merge, in the order of the merges.
        second: int32 [n - 1], written: a token of the other.
        height: float64 [n - 1], written: the distance of the two, never falling.
    """
    n = len(distance)
    size, alive, chain = np.ones(n, np.int64), np.arange(n), np.empty(n + 1, np.int64)
    left, depth = n, 0
    for step in range(n - 1):
        if depth == 0:
            chain[0], depth = alive[0], 1
        while True:
            here = chain[depth - 1]
            row = distance[here]
            # The token that the chain came from wins ties, so that no chain runs in a circle.
            nearest = chain[depth - 2] if depth > 1 else -1
            least = row[nearest] if depth > 1 else np.inf
            for k in range(left):
                other = alive[k]
                if other != here and row[other] < least:
                    least, nearest = row[other], other
            if depth > 1 and nearest == chain[depth - 2]:
                break
            chain[depth] = nearest
            depth += 1
        depth -= 2
        gone, kept = min(here, nearest), max(here, nearest)
        first[step], second[step], height[step] = gone, kept, least
        absorb(distance, size, alive, left, gone, kept, least)
        left = drop(alive, left, gone)
        size[kept] += size[gone]
    order = np.argsort(height, kind="mergesort")
    first[:], second[:], height[:] = first[order], second[order], height[order]


@kernel
def absorb(distance, size, alive, left, gone, kept, least):
    """Distances of the merged cluster to all others, by the formula of Lance and Williams (1967) for Ward's method."""
    a, b = size[gone], size[kept]
    for k in range(left):
        other = alive[k]
        if other not in (gone, kept):
            c = size[other]
            share = 1.0 / (a + b + c)
            to_gone, to_kept = distance[gone, other], distance[kept, other]
            squared = (c + a) * share * to_gone * to_gone + (c + b) * share * to_kept * to_kept
            new = np.sqrt(max(squared - c * share * least * least, 0.0))
            distance[kept, other] = distance[other, kept] = new


@kernel
def drop(alive, left, gone):
    """Take a cluster out of the sorted list of those alive; returns how many are left."""
    k = 0
    while alive[k] != gone:
        k += 1
    for j in range(k, left - 1):
        alive[j] = alive[j + 1]
    return left - 1


@kernel
def cut_linkage(offsets, start, end, alone, free, wanted, most, limit, first, second, height, groups, counts):
    """Groups of documents start to end - 1, numbered by their first token from 0 in each document.

    Args:
        offsets: int64 [documents + 1].
        start: First document.
        end: One past the last.
        alone: int64 [documents], first tokens that stay alone.
        free: int64 [documents], tokens after them that may merge; those after these stay alone too.
        wanted: int64 [documents], groups of free tokens to merge down to, as long as they are near.
        most: int64 [documents], groups of free tokens to merge down to in any case.
        limit: How far apart two clusters may be that merge on the way to `wanted`.
        first: int32 [tokens], the merges of each document from its offset on; tokens counted after the protected ones.
        second: int32 [tokens].
        height: float64 [tokens].
        groups: int64 [tokens], written.
        counts: int64 [documents], written: groups of each document.
    """
    for document in range(start, end):
        low, n = offsets[document], offsets[document + 1] - offsets[document]
        begin, size = alone[document], free[document]
        root = np.arange(size)
        merges, needed = max(size - wanted[document], 0), max(size - most[document], 0)
        done = 0
        # Equal heights merge together, so that the order of the documents' tokens decides nothing (as in scipy).
        while done < size - 1 and (
            done < needed
            or (done < merges and height[low + done] <= limit)
            or (done > 0 and height[low + done] == height[low + done - 1])
        ):
            a, b = find(root, first[low + done]), find(root, second[low + done])
            root[max(a, b)] = min(a, b)
            done += 1
        for k in range(begin):
            groups[low + k] = k
        number = begin
        for k in range(size):
            if find(root, k) == k:
                groups[low + begin + k] = number
                number += 1
            else:
                groups[low + begin + k] = groups[low + begin + find(root, k)]
        for k in range(begin + size, n):
            groups[low + k] = number
            number += 1
        counts[document] = number


@kernel
def find(root, k):
    """The first token of a token's cluster; paths are shortened on the way."""
    while root[k] != k:
        root[k] = root[root[k]]
        k = root[k]
    return k


@kernel
def cut_runs(offsets, start, end, alone, free, wanted, groups, counts):
    """Groups of neighbours, as equal in length as possible; see `cut_linkage`."""
    for document in range(start, end):
        low, n = offsets[document], offsets[document + 1] - offsets[document]
        begin, size, some = alone[document], free[document], wanted[document]
        for k in range(begin):
            groups[low + k] = k
        for k in range(size):
            groups[low + begin + k] = begin + (k * some // size if some < size else k)
        last = begin + min(some, size)
        for k in range(begin + size, n):
            groups[low + k] = last + k - begin - size
        counts[document] = last + n - begin - size


@kernel
def average_float32(values, dim, offsets, groups, to, start, end, normalize, out):
    """Means of documents start to end - 1.

    Args:
        values: float32 [all tokens * dim].
        dim: Dimension.
        offsets: int64 [documents + 1].
        groups: int64 [tokens], numbered from 0 in each document.
        to: int64 [documents + 1], offsets of the groups.
        start: First document.
        end: One past the last.
        normalize: Bring means to length 1.
        out: float32 [groups of these documents, dim], zeros, written.
    """
    members = np.zeros(len(out), np.int64)
    for document in range(start, end):
        base = to[document] - to[start]
        for t in range(offsets[document], offsets[document + 1]):
            add(values[t * dim : (t + 1) * dim], out[base + groups[t]])
            members[base + groups[t]] += 1
    divide(out, members, normalize)


@kernel
def average_float16(halves, dim, offsets, groups, to, start, end, normalize, out):
    """The same for values whose float16 bits come as uint16."""
    members, token = np.zeros(len(out), np.int64), np.empty(dim, np.float32)
    for document in range(start, end):
        base = to[document] - to[start]
        for t in range(offsets[document], offsets[document + 1]):
            widen(halves, t * dim, dim, token)
            add(token, out[base + groups[t]])
            members[base + groups[t]] += 1
    divide(out, members, normalize)


@kernel
def add(token, row):
    """Add a token to the sum of its group."""
    for d in range(len(row)):
        row[d] += token[d]


@kernel
def divide(out, members, normalize):
    """Sums to means, of length 1 when asked for."""
    for group in range(len(out)):
        row = out[group]
        length = 0.0
        for d in range(len(row)):
            row[d] /= np.float32(members[group])
            length += row[d] * row[d]
        if normalize:
            scale = np.float32(1.0 / max(np.sqrt(length), 1e-12))
            for d in range(len(row)):
                row[d] *= scale
