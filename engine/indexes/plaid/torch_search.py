"""The same search in torch, for an index whose arrays lie on an accelerator.

The stages, their limits and their ties are those of `search`: the same documents come back, up to the rounding of
float32 sums. The fused kernel of `late-interaction-kernels` decodes residuals that have no length of their own, so it
cannot read this codec; the survivors of a search are some 43,000 tokens, which are decoded and scored by plain torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.probing import list_weights, probe_counts
from engine.indexes.plaid.query import HEAVY_MARGIN, HEAVY_REACH, ByteRange, byte_range, heavy_lanes, lanes_of
from engine.indexes.plaid.rounded import RoundedQuery
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.centroids import COLUMNS


@dataclass(frozen=True, eq=False)
class DeviceLayout:
    """The arrays of a `Layout` as tensors on a device.

    Args:
        codec: Centroids, and how rows of bytes are read.
        centroids: float32 [c, dim].
        offsets: int64 [slots + 1].
        codes: int64 [tokens].
        packed: uint8 [tokens, row size].
        lists: (int64 [c + 1] offsets, int64 documents), one pair for each set of inverted lists.
    """

    codec: Codec
    centroids: torch.Tensor
    offsets: torch.Tensor
    codes: torch.Tensor
    packed: torch.Tensor
    lists: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @classmethod
    def of(cls, layout: Layout, device: str) -> DeviceLayout:
        """Copy the arrays of an index to a torch device."""

        def moved(array: np.ndarray, dtype: Any = None) -> torch.Tensor:
            return torch.from_numpy(np.array(array, dtype)).to(device)

        codec = layout.codec
        lists = tuple((moved(each.offsets), moved(each.documents, np.int64)) for each in layout.lists)
        return cls(
            codec,
            moved(codec.centroids),
            moved(layout.offsets),
            moved(layout.codes, np.int64),
            moved(layout.packed),
            lists,
        )

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.centroids.device

    def rows(self, slots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens of some slots, int64 [t], and which of the slots each belongs to, int64 [t]."""
        first, lengths = self.offsets[slots], self.offsets[slots + 1] - self.offsets[slots]
        owner = torch.repeat_interleave(torch.arange(len(slots), device=self.device), lengths)
        starts = torch.cumsum(lengths, 0) - lengths
        return torch.arange(len(owner), device=self.device) - starts[owner] + first[owner], owner

    def vectors(self, tokens: torch.Tensor) -> torch.Tensor:
        """The stored vectors of some tokens, float32 [t, dim]."""
        return self.codec.decode_on(self.centroids, self.codes[tokens], self.packed[tokens])


def run(
    layout: DeviceLayout,
    settings: PlaidSettings,
    query: np.ndarray,
    k: int,
    allowed: np.ndarray,
    order: np.ndarray,
    named: bool = False,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Run all stages for one query on the device.

    Args:
        layout: The index.
        settings: Those of a search are used, from `settings.for_documents`.
        query: [m, dim] float16 or float32, m at least 1.
        k: How many documents are wanted.
        allowed: uint8 [slots], 1 for documents that may be found.
        order: int64 [slots], lower goes on among equal scores at a cut.
        named: See `search.run`.

    Returns:
        Slots that got a score from their stored vectors, int64, rising; those scores, float32; and notes.
    """
    asked = torch.from_numpy(query.astype(np.float32)).to(layout.device)
    permitted = torch.from_numpy(np.array(allowed, bool)).to(layout.device)
    ties = torch.from_numpy(order).to(layout.device)
    query = query.astype(np.float32)
    wanted = min(k, int(permitted.sum()))
    rounded = layout.codec.rounded.asked(query)
    sums = _sums(layout, query, rounded)
    if named and int(permitted.sum()) <= settings.n_candidates:
        candidates, notes = torch.nonzero(permitted).ravel(), ()
    else:
        points, notes = _probe(layout, settings, query, rounded, sums, wanted, permitted)
        found = torch.nonzero(points).ravel()
        candidates = found[_best(points[found], max(settings.n_candidates, wanted), ties[found])]
    top = rounded.scores(sums.max(dim=0, keepdim=True).values.T.cpu().numpy())[:, 0]
    scale = byte_range(layout.codec.centre, query, top, settings.centroid_threshold)
    rows = _bytes(layout, sums, rounded, scale)
    sums = _coarse(layout, candidates, rows, torch.from_numpy(scale.weight).to(layout.device))
    n_full = max(settings.n_full_scores, wanted)
    if n_full > settings.n_full_scores:
        notes += (f"n_full_scores raised from {settings.n_full_scores} to {n_full} to return {wanted} documents",)
    survivors = candidates
    if len(candidates) > n_full:
        margin, heavy = settings.centroid_margin * len(query), lanes_of(heavy_lanes(query), len(query))
        reach = HEAVY_REACH if layout.codec.refines and heavy.any() else 1
        near = _near(sums, n_full, reach * margin / scale.step)
        if reach > 1:
            candidates = candidates[near]
            sums = _fine(layout, candidates, rows, scale, asked, heavy)
            near = _near(sums, n_full, HEAVY_MARGIN * margin)
        survivors = candidates[near[_best(sums[near], max(n_full, settings.n_refined), ties[candidates[near]])]]
        if layout.codec.refines and len(survivors) > n_full:
            fine = _fine(layout, survivors, rows, scale, asked, np.ones(len(query), bool))
            survivors = survivors[_best(fine, n_full, ties[survivors])]
    scores = _plain(layout, survivors, asked)
    return survivors.cpu().numpy(), scores.float().cpu().numpy(), notes


def _sums(layout: DeviceLayout, query: np.ndarray, rounded: RoundedQuery) -> torch.Tensor:
    """The scores of all centroids as whole numbers, int64 [c, m]; see `engine.simd.centroids.whole_rows`."""
    centroids = layout.codec.rounded
    codes = torch.from_numpy(centroids.codes[:, : query.shape[1]]).to(layout.device)
    whole = torch.from_numpy(centroids.whole(query)[0]).to(layout.device)
    return (codes.double() @ whole.double().T).long() >> rounded.shift  # of integers: exact


def _probe(
    layout: DeviceLayout,
    settings: PlaidSettings,
    query: np.ndarray,
    rounded: RoundedQuery,
    sums: torch.Tensor,
    wanted: int,
    permitted: torch.Tensor,
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """For each slot the points of `loops.collect`, int64; and notes."""
    count, middle = len(layout.centroids), query @ layout.codec.centre
    asked = n_probe = min(settings.n_probe, count)
    order, heavy = torch.sort(sums.T, dim=1, descending=True, stable=True), heavy_lanes(query)
    while True:
        counts = probe_counts(heavy, len(query), n_probe, count)
        widest = int(counts.max())
        probes, scores = order.indices[:, :widest], rounded.scores(order.values[:, :widest].cpu().numpy())
        weights = torch.from_numpy(list_weights(scores, middle, counts)).long().to(layout.device)
        best = torch.zeros(len(probes), len(permitted), dtype=torch.long, device=layout.device)
        for offsets, documents in layout.lists:
            inside = probes + 1 < len(offsets)  # centroids that came after these lists were written
            lists = probes.clamp(max=len(offsets) - 2)
            lengths = torch.where(inside, offsets[lists + 1] - offsets[lists], 0).ravel()
            entry = torch.repeat_interleave(torch.arange(len(lengths), device=layout.device), lengths)
            place = torch.arange(len(entry), device=layout.device) - (torch.cumsum(lengths, 0) - lengths)[entry]
            slots = documents[offsets[lists.ravel()[entry]] + place]
            flat = (entry // widest) * len(permitted) + slots
            best.view(-1).scatter_reduce_(0, flat, weights.ravel()[entry], "amax")
        points = best.sum(0) * permitted
        if n_probe == count or int((points > 0).sum()) >= wanted:
            break
        n_probe = min(2 * n_probe, count)
    notes = (f"n_probe widened from {asked} to {n_probe} to find {wanted} documents",) if n_probe > asked else ()
    return points, notes


def _bytes(layout: DeviceLayout, sums: torch.Tensor, rounded: RoundedQuery, scale: ByteRange) -> torch.Tensor:
    """The scores of all centroids in bytes, uint8 [c, m]."""
    factor = np.float32(1) / scale.unit
    steps = torch.from_numpy(rounded.unit * factor).to(layout.device)
    shift = torch.from_numpy((rounded.origin - scale.low) * factor + np.float32(0.5)).to(layout.device)
    return (sums.float() * steps + shift).clamp(0, 255).to(torch.uint8)


def _coarse(layout: DeviceLayout, slots: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Sums of the best centroid score of each query token, int64."""
    tokens, owner = layout.rows(slots)
    return (_maxima(rows[layout.codes[tokens]].int(), owner, len(slots)).long() * weight).sum(1)


def _fine(
    layout: DeviceLayout,
    slots: torch.Tensor,
    rows: torch.Tensor,
    scale: ByteRange,
    query: torch.Tensor,
    which: np.ndarray,
) -> torch.Tensor:
    """MaxSim over the tokens with the best centroids for any of `which`, float32; see `scores.refined_scores`."""
    tokens, owner = layout.rows(slots)
    low, unit = torch.from_numpy(scale.low).to(layout.device), torch.from_numpy(scale.unit).to(layout.device)
    seen, total = rows[layout.codes[tokens]], torch.zeros(len(slots), device=layout.device)
    highest = _maxima(seen.int(), owner, len(slots))
    counted = torch.from_numpy(which).to(layout.device)
    won = (seen == highest[owner]) & (seen > 0) & counted
    for first in range(0, len(query), COLUMNS):  # the compiled loops choose tokens for each block of query tokens
        lanes = slice(first, first + COLUMNS)
        chosen = won[:, lanes].any(1)
        residuals = layout.vectors(tokens[chosen]) - layout.centroids[layout.codes[tokens[chosen]]]
        products = residuals @ query[lanes].T + seen[chosen][:, lanes].float() * unit[lanes] + low[lanes]
        scores = torch.full((len(slots), products.shape[1]), -torch.inf, device=layout.device)
        scores.scatter_reduce_(0, owner[chosen][:, None].expand_as(products), products, "amax")
        best = torch.maximum(scores, low[lanes])
        plain = highest[:, lanes].float() * unit[lanes] + low[lanes]
        total += torch.where(counted[lanes] & (highest[:, lanes] > 0), best, plain).sum(1)
    return total


def _plain(layout: DeviceLayout, slots: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """MaxSim on the stored vectors, float32."""
    tokens, owner = layout.rows(slots)
    return _maxima(layout.vectors(tokens) @ query.T, owner, len(slots)).sum(1)


def _maxima(values: torch.Tensor, owner: torch.Tensor, n: int) -> torch.Tensor:
    """The maximum of each column over the rows of each owner, [n, columns]; every owner has rows."""
    lowest = torch.finfo(values.dtype).min if values.is_floating_point() else torch.iinfo(values.dtype).min
    out = torch.full((n, values.shape[1]), lowest, dtype=values.dtype, device=values.device)
    return out.scatter_reduce_(0, owner[:, None].expand_as(values), values, "amax")


def _near(scores: torch.Tensor, n: int, margin: float) -> torch.Tensor:
    """Positions of the n highest scores and of those at most `margin` below, rising."""
    return torch.nonzero(scores >= torch.sort(scores, descending=True).values[n - 1] - margin).ravel()


def _best(scores: torch.Tensor, n: int, ties: torch.Tensor) -> torch.Tensor:
    """Positions of the n highest scores, rising; among equal scores at the edge those first in `ties`."""
    order = torch.argsort(ties)
    return torch.sort(order[torch.sort(scores[order], descending=True, stable=True).indices[:n]]).values
