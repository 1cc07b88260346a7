"""What a sweep will cost, from measurements: a sample that is encoded now, runs that were finished before."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from engine import TokenEmbeddings
from engine.errors import InputError
from workbench.cache import embeddings_folder
from workbench.experiments.execute import is_kept
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import Loader, Prepared
from workbench.runs.store import list_runs

SAMPLE = 48  # documents that are encoded to learn how long they are and how long they take
WARM_UP = 4
COPIES = 4  # of the vectors in one run at its peak: stored, pooled, as the index is built, and in the index
MEMORY_SHARE = 0.7  # of what is free now
STAGES = ("pool", "index", "search", "evaluate")


@dataclass(frozen=True)
class Preflight:
    """What a sweep will cost, before it starts.

    Args:
        experiments: What will be run.
        known: How many of them are there already.
        encode_tokens: About how many document tokens must be encoded first.
        encode_s: About how long that takes on this machine, from a sample encoded just now.
        run_s: Median seconds of pooling, indexing and searching in finished runs on the same collections with the same
            kinds of index; None when there are none.
        run_bytes: About the memory of one run: what this process holds with the model loaded, and the vectors.
        processes: How many run at once.
    """

    experiments: tuple[Experiment, ...]
    known: int
    encode_tokens: int
    encode_s: float
    run_s: float | None
    run_bytes: int
    processes: int

    def __str__(self) -> str:
        encoding = f"about {_time(self.encode_s)} of encoding first" if self.encode_tokens else "nothing to encode"
        each = (
            f"then about {_time(self.run_s)} a run"
            if self.run_s is not None
            else "the first run will say how long one takes"
        )
        return (
            f"{len(self.experiments)} experiments, {self.known} known; {encoding}, {each}; about "
            f"{self.run_bytes / 2**30:.1f} GiB a run, {self.processes} at once."
        )


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s" if seconds >= 1 else "a second"


Rates = dict[int, tuple[float, float]]


def _rate(prepared: Prepared, rates: Rates) -> tuple[float, float]:
    """Tokens a document and seconds a token, of documents drawn from the collection and encoded now."""
    encoder = prepared.encoder
    assert encoder is not None
    if id(prepared) not in rates:
        texts = list(prepared.collection.documents.values())
        chosen = random.Random(0).sample(texts, min(SAMPLE, len(texts)))
        encoder.encode_document(chosen[:WARM_UP])
        start = time.perf_counter()
        sample = encoder.encode_document(chosen)
        seconds = time.perf_counter() - start
        rates[id(prepared)] = sample.n_tokens / len(sample), seconds / max(sample.n_tokens, 1)
    return rates[id(prepared)]


def preflight(
    experiments: Sequence[Experiment], processes: int | None = None, loader: Loader | None = None
) -> Preflight:
    """Estimate time and memory of a sweep; where documents must be encoded, a sample of them is.

    Args:
        experiments: From `grid`.
        processes: How many at once; None lets the free memory and the cores decide.
        loader: Collections and models that are there already.

    Returns:
        The estimate.

    Raises:
        InputError: fewer than one process.
    """
    if processes is not None and processes < 1:
        raise InputError(f"Expected 1 process or more, got {processes}: leave it out to let memory decide.")
    load, rates = loader or Loader(), Rates()
    known, seconds, missing_tokens, largest = 0, 0.0, 0, 0
    seen: set[int] = set()
    for experiment in experiments:
        prepared = load(experiment)
        encoder, texts = prepared.encoder, list(prepared.collection.documents.values())
        assert encoder is not None
        known += is_kept(experiment, prepared)
        folder = embeddings_folder(encoder, texts, "document", experiment.vectors)
        there = (folder / "manifest.json").exists()
        tokens = TokenEmbeddings.open(folder).n_tokens if there else round(_rate(prepared, rates)[0] * len(texts))
        largest = max(largest, tokens * encoder.dim * (2 if experiment.vectors == "float16" else 4) * COPIES)
        if id(prepared) not in seen and not there:
            missing_tokens += tokens
            seconds += tokens * _rate(prepared, rates)[1]
        seen.add(id(prepared))
    run_bytes = largest + psutil.Process().memory_info().rss
    fit = max(int(psutil.virtual_memory().available * MEMORY_SHARE // run_bytes), 1)
    chosen = processes or min(fit, os.cpu_count() or 1, max(len(experiments) - known, 1))
    return Preflight(
        tuple(experiments), known, missing_tokens, seconds, _run_seconds(experiments, load), run_bytes, chosen
    )


def _run_seconds(experiments: Sequence[Experiment], load: Loader) -> float | None:
    """Median seconds of the stages after encoding, in finished runs like these."""
    alike = {(load(e).collection.fingerprint, e.index, e.system) for e in experiments}
    found = []
    for run in list_runs(status="complete"):
        described, timings = run.record["experiment"], run.record["timings_s"]
        worked = [stage for stage in STAGES if stage not in run.record["cached"]]
        what = (run.record["collection"]["fingerprint"], described["index"], described.get("system", ""))
        if what in alike and "index" in worked:
            found.append(sum(timings[stage] for stage in worked if stage in timings))
    return median(found) if found else None
