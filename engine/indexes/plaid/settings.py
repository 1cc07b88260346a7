"""Settings of the PLAID index: those of the build are fixed with the index, those of the search can differ a call."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from engine.checks import require_whole
from engine.errors import InputError
from engine.indexes.base import Settings

BITS = (1, 2, 4, 8, 16)
SEARCH_SETTINGS = ("n_probe", "n_candidates", "centroid_threshold", "centroid_margin", "n_refined", "n_full_scores")
LADDER = tuple(
    {"n_probe": probe, "n_candidates": 8 * full, "n_full_scores": full}
    for probe, full in ((1, 64), (2, 128), (2, 256), (4, 256), (4, 512), (8, 1024), (16, 2048), (32, 4096))
)
CENTROIDS_PER_ROOT_TOKEN = 16  # Santhanam et al., 2022, PLAID, section 3: centroids in proportion to sqrt(tokens)
CANDIDATES = (4096, 16_384)  # at least and at most, where the number of documents says how many
DOCUMENTS_PER_CANDIDATE = 40
PROBES = (4, 16)
DOCUMENTS_PER_PROBE = 6144
TOKENS_PER_CENTROID = 4  # fewer leave most centroids on a single token, which saves nothing


@dataclass(frozen=True)
class PlaidSettings(Settings):
    """Settings of the PLAID index.

    Args:
        bits: Bits of a residual value: 1, 2, 4 or 8; 16 stores the vectors themselves in float16.
        wide_share: Share of the dimensions, rounded down to a multiple of 8, that get one bit more, at 1, 2 and 4 bits;
            above 1 all have one, and the share beyond 1 gets a second one.
        n_centroids: Centroids to train, at most one a token; 0 chooses by the number of tokens.
        iterations: Passes of k-means.
        seed: Seed of the sample that k-means sees.
        memory_limit: Bytes that a build may hold beside the input and the ids; a tight one gives k-means a smaller
            sample, then fewer centroids. 0 sets no limit.
        n_probe: Centroids that each query token looks into, and a third of those that a query token of great weight
            does; 0 chooses by the number of documents, as `for_documents` says: 4 below 30,720 documents, 16 from
            98,304 on.
        n_candidates: Documents that get a score from their centroids, the best by the probed centroids; 0 chooses a
            fortieth of the documents, 4,096 at least and 16,384 at most.
        centroid_threshold: A centroid below this score for a query token counts as if it had just this score.
        centroid_margin: How far, a query token, a document may lie below the n_full_scores best by their centroids and
            still have its score refined by the residuals of the tokens that gave it; at 16 bits, which have none, it
            gets its exact score at once.
        n_refined: Documents whose scores are refined, at most.
        n_full_scores: Documents that get a score from all their stored vectors.
    """

    bits: int = 4
    wide_share: float = 0.5
    n_centroids: int = 0
    iterations: int = 4
    seed: int = 0
    memory_limit: int = 0
    n_probe: int = 0
    n_candidates: int = 0
    centroid_threshold: float = 0.0
    centroid_margin: float = 0.07
    n_refined: int = 2048
    n_full_scores: int = 128

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(entry.default, float):
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                    raise InputError(
                        f"Expected {entry.name} as a finite number, got {value!r}: {entry.default} is the default."
                    )
            else:
                require_whole(entry.name, value, 0)
        if self.bits not in BITS:
            raise InputError(f"Expected bits among {', '.join(map(str, BITS))}, got {self.bits}: choose one.")
        if self.centroid_margin < 0:
            raise InputError(f"Expected centroid_margin of 0 or more, got {self.centroid_margin}: 0 refines least.")
        if not 0 <= self.wide_share <= 2:
            raise InputError(f"Expected wide_share from 0 to 2, got {self.wide_share}: 0.5 is the default.")
        for name in ("iterations", "n_refined", "n_full_scores"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} of 1 or more, got {getattr(self, name)}: raise it.")


@lru_cache(256)
def for_documents(settings: PlaidSettings, count: int) -> PlaidSettings:
    """The settings of a search with numbers for what is 0, by how many documents there are.

    Args:
        settings: Of an index.
        count: Documents in it.

    Returns:
        Settings whose `n_probe` and `n_candidates` are 1 or more.
    """
    least, most = CANDIDATES
    fewest, widest = PROBES
    return replace(
        settings,
        n_probe=settings.n_probe or min(max(count // DOCUMENTS_PER_PROBE, fewest), widest),
        n_candidates=settings.n_candidates or min(max(count // DOCUMENTS_PER_CANDIDATE, least), most),
    )


def wanted_centroids(settings: PlaidSettings, n_tokens: int) -> int:
    """How many centroids suit a number of tokens: a power of two near 16 sqrt(tokens), unless the settings name one."""
    if settings.n_centroids:
        return min(settings.n_centroids, n_tokens)
    root = CENTROIDS_PER_ROOT_TOKEN * math.sqrt(n_tokens)
    return max(1, min(2 ** int(math.log2(root)), n_tokens // TOKENS_PER_CENTROID)) if n_tokens else 1
