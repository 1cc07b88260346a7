"""The stages of a PLAID search as one document saw them."""

from __future__ import annotations

import numpy as np

from engine.indexes.plaid.search import Layout, Stages
from engine.indexes.plaid.settings import PlaidSettings
from engine.indexes.trace import Stage, TokenTrace, exact_stage, stage


def describe_stages(
    left: Stages, settings: PlaidSettings, slots: np.ndarray, tie_order: np.ndarray, slot: int, k: int
) -> tuple[Stage, ...]:
    """Describe every stage for one document.

    Args:
        left: What the search left.
        settings: Its settings; limits that the search widened are given as widened.
        slots: int64 [documents], rising.
        tie_order: int64 [documents], the rank of each id.
        slot: Slot of the document that is followed.
        k: How many results were asked for.

    Returns:
        Five stages: probe, candidates, centroid scores, refined scores, exact scores.
    """
    n_candidates = max(settings.n_candidates, len(left.candidates))
    cap = max(settings.n_refined, settings.n_full_scores)  # else the margin ended the list
    bound = ("n_refined", cap) if len(left.refined) >= cap else ("centroid_margin", settings.centroid_margin)
    n_full = max(settings.n_full_scores, len(left.survivors))
    order = np.argsort(left.found)
    found = left.found[order].astype(np.int64)
    ties = tie_order[np.searchsorted(slots, left.survivors)]
    return (
        stage("probe", "n_probe", int((left.probes >= 0).sum(axis=1).min()), slot, slots, None, found),
        stage("candidates", "n_candidates", n_candidates, slot, found, left.points[order], left.candidates),
        stage("centroid scores", *bound, slot, left.candidates, left.coarse, left.refined),
        stage("refined scores", "n_full_scores", n_full, slot, left.refined, left.fine, left.survivors),
        exact_stage(slot, left.scores, ties, left.survivors, k),
    )


def token_trace(left: Stages, layout: Layout, slot: int) -> TokenTrace:
    """Centroids of a document's tokens and the query tokens that probed them.

    Args:
        left: What the search left.
        layout: The index.
        slot: Slot of the document that is followed.

    Returns:
        One column a document token.
    """
    codes = layout.codes[layout.offsets[slot] : layout.offsets[slot + 1]].astype(np.int64)
    probed = (left.probes[:, :, None] == codes).any(axis=1)
    return TokenTrace(codes, probed, left.query @ layout.codec.centroids[codes].T)
