"""How a build divides its work so that it stays within a memory limit, and what it will take, told before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.plaid.assign import PART as ASSIGNED
from engine.indexes.plaid.codecs import codec_class
from engine.indexes.plaid.groups import LOOKED, MEMBERS, Groups, bytes_of_thread, products
from engine.indexes.plaid.residual import PART
from engine.indexes.plaid.settings import PlaidSettings, wanted_centroids
from engine.indexes.progress import BuildProgress
from engine.simd.threads import thread_count

SAMPLE_PER_CENTROID = 24  # tokens that k-means sees for each centroid
LEAST_PER_CENTROID = 8  # below it, a memory limit asks for fewer centroids
CHUNK_TOKENS = 1 << 16  # tokens encoded at once, without a memory limit
TRIALS = 5
MOST_THREADS = 64  # that a memory limit sets room aside for
LEAST_CHUNK = 1024  # tokens encoded at once, at least
MANY = 1 << 62
TRIAL_TOKENS, TRIAL_CENTROIDS = 4096, 1024  # what an estimate of time is measured on


@dataclass(frozen=True)
class Plan:
    """How a build divides its work.

    Args:
        tokens: Number of tokens that are added.
        centroids: How many are trained, or were.
        sample: Tokens that k-means sees.
        chunk: Tokens encoded at once.
        list_entries: Entries of inverted lists held at once.
        threads: How many the limit has room for; what is written is the same with fewer.
        memory_bytes: Peak with the threads of this machine, beside the input and the ids.
        disk_bytes: Size of the index without its ids; the inverted lists at their largest, one entry a token.
    """

    tokens: int
    centroids: int
    sample: int
    chunk: int
    list_entries: int
    threads: int
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Estimate(Plan):
    """A plan, and the time that a small trial on this machine says it takes.

    Args:
        seconds: How long the whole build takes.
    """

    seconds: float

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def plan(settings: PlaidSettings, n_tokens: int, n_documents: int, dim: int, existing: int = 0) -> Plan:
    """Fit a change into `settings.memory_limit`, first by a smaller sample, then by fewer centroids.

    What the plan writes depends on nothing but the arguments. So an eighth of the limit is set aside for threads,
    however many this machine has, and those beyond its room have to rest.

    Args:
        settings: The limit, bits and the number of centroids are used.
        n_tokens: How many tokens are added, at least 1.
        n_documents: How many documents are added.
        dim: Dimensions of a vector.
        existing: Centroids that the index has already; 0 trains them.

    Returns:
        The plan.

    Raises:
        InputError: the limit leaves no room for the centroids.
    """
    limit, centroids = settings.memory_limit, existing or wanted_centroids(settings, n_tokens)
    per_sample = 4 * dim + 48  # the vectors, their codes, distances and order
    row = codec_class(settings.bits).row_bytes(dim, settings)
    per_token = 24 + 6 * row  # codes and distances while encoding, the rows and their squares

    def per_thread(centroids: int) -> int:
        """Rows of float32, of the encoding or of the search for centroids."""
        return max(4 * (dim + 1) * (2 * ASSIGNED + PART), bytes_of_thread(centroids, dim))

    def aside(centroids: int) -> int:
        """Set aside for threads."""
        return min(MOST_THREADS, max(1, limit // 8 // per_thread(centroids))) * per_thread(centroids)

    def held(centroids: int) -> int:
        codes = 8 * n_tokens if existing else 0
        return centroids * (24 * (dim + 1) + 64) + 8 * n_documents + codes

    def least(centroids: int) -> int:
        """Tokens that k-means must see."""
        return min(n_tokens, centroids * (1 if settings.n_centroids or existing else LEAST_PER_CENTROID))

    def room(centroids: int) -> int:
        return limit - aside(centroids) - held(centroids)

    sample, chunk, entries = min(n_tokens, SAMPLE_PER_CENTROID * centroids), min(n_tokens, CHUNK_TOKENS), MANY
    if limit:
        while (
            not (settings.n_centroids or existing) and centroids > 1 and room(centroids) < per_sample * least(centroids)
        ):
            centroids //= 2
        if room(centroids) < max(per_sample * least(centroids), LEAST_CHUNK * per_token):
            need = aside(centroids) + held(centroids) + max(per_sample * least(centroids), LEAST_CHUNK * per_token)
            raise InputError(
                f"Expected memory_limit of {need} bytes or more for these documents, got {limit}: raise it."
            )
        sample = min(n_tokens, SAMPLE_PER_CENTROID * centroids, room(centroids) // per_sample)
        chunk, entries = min(chunk, room(centroids) // per_token), room(centroids) // 4
    memory = held(centroids) + max(sample * per_sample, chunk * per_token, 4 * min(entries, n_tokens))
    threads = (limit - memory) // per_thread(centroids) if limit else MANY
    memory += min(threads, thread_count()) * per_thread(centroids)
    code_bytes = 2 if centroids <= 1 << 16 else 4
    disk = n_tokens * (code_bytes + row + 4) + centroids * (2 * dim + 12) + 12 * n_documents
    return Plan(n_tokens, centroids, sample, chunk, entries, threads, memory, disk)


def timed(made: Plan, settings: PlaidSettings, documents: TokenEmbeddings) -> Estimate:
    """Say how long a planned build will take, from a trial on a few thousand tokens; nothing follows from it.

    Args:
        made: The plan.
        settings: Those of the index.
        documents: What is added.

    Returns:
        The plan with the time.
    """
    tokens = sample_positions(documents.n_tokens, min(TRIAL_TOKENS, documents.n_tokens), settings.seed)
    values = documents.values[tokens].astype(np.float32)
    some = values[: min(TRIAL_CENTROIDS, made.centroids)]
    groups = Groups(some, np.arange(len(some), dtype=np.int32) // MEMBERS)
    groups.nearest(values[:64])  # compiled and warm before the clock starts
    codes, search = _least(lambda: groups.nearest(values)[0])
    codec = codec_class(settings.bits).fit(values, codes, some, settings)
    codec.encode(values[:64], codes[:64])
    _, rows = _least(lambda: codec.encode(values, codes))
    met = min(LOOKED * MEMBERS, len(some)) + len(some) / MEMBERS  # by each vector of the trial
    search, rows = search / (len(values) * met), rows / len(values)
    passes = made.sample * (settings.iterations + 1) + made.tokens
    return Estimate(**asdict(made), seconds=search * passes * products(made.centroids) + rows * made.tokens)


def _least(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What the work returns, and the least seconds of a few times: others may be busy on this machine."""
    seconds = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def sample_positions(n: int, count: int, seed: int) -> np.ndarray:
    """A random position from each of `count` stretches of 0 ... n - 1 of about equal length: int64, rising."""
    edges = np.arange(count + 1) * n // count
    return edges[:-1] + (np.random.default_rng(seed).random(count) * np.diff(edges)).astype(np.int64)


class Meter:
    """Turns steps of a build into progress with the time that is left.

    Args:
        report: Called after each step, or None.
        made: The plan.
        iterations: Passes of k-means.
    """

    def __init__(self, report: Callable[[BuildProgress], None] | None, made: Plan, iterations: int) -> None:
        self.report, self.start = report, time.perf_counter()
        passes = {"k-means": made.sample * (iterations + 1), "encode": made.tokens, "inverted lists": 0}
        self.costs = {stage: n * products(made.centroids) + made.tokens for stage, n in passes.items()}

    def step(self, stage: str, done: int, total: int) -> None:
        """Report that a stage got so far."""
        if self.report is None:
            return
        stages = list(self.costs)
        before = sum(self.costs[name] for name in stages[: stages.index(stage)])
        share = (before + self.costs[stage] * done / max(total, 1)) / sum(self.costs.values())
        left = (time.perf_counter() - self.start) * (1 - share) / share
        self.report(BuildProgress(stage, done, total, share, left))
