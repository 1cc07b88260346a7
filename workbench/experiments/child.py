"""Measure one index in a process of its own: `python -m workbench.experiments.child FOLDER`.

A process of its own makes memory and times those of this index alone, survives a library that crashes, and lets a
person stop at any moment. The folder holds `job.json`, `documents` and `queries`; progress goes to standard output as
JSON lines, the outcome to `outcome.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import Ranking, TokenEmbeddings, create_index
from engine.errors import UnsupportedError, WorkbenchError
from engine.indexes import Index
from engine.machine import forget_peak, peak_memory
from workbench.experiments.experiment import Experiment
from workbench.experiments.measure import (
    WARM_UP,
    Built,
    Clock,
    Measurement,
    Searched,
    assess,
    depth_of,
    ready_documents,
    search,
    searched_bytes,
    shares_found,
    time_single,
)
from workbench.experiments.prepare import TRUTH_DEPTH, Prepared
from workbench.experiments.progress import SILENT, Steps

REHEARSAL = 64  # documents of an index that is thrown away: libraries are loaded and kernels compiled for the real one
TUNING_QUERIES = 32  # that each rung of a ladder is tried on
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "WORKBENCH_THREADS",
           "NUMBA_NUM_THREADS")  # fmt: skip


class ChildError(WorkbenchError):
    """A measurement in a process of its own failed; the sentence says why."""


@dataclass(frozen=True, eq=False)
class Alone:
    """What a process of its own measured.

    Args:
        given: With the settings of the experiment.
        rung: The first search settings of the ladder that reach the target; None where none does.
        tuned: The measurement with them.
    """

    given: Measurement
    rung: dict[str, Any] | None = None
    tuned: Measurement | None = None


def measure_alone(
    prepared: Prepared, experiment: Experiment, threads: int, ladder: Sequence[dict[str, Any]] = (),
    target: float = 0.0, steps: Steps = SILENT,
) -> Alone:  # fmt: skip
    """Measure an experiment in a process of its own, and once more with the first rung that reaches a target.

    Args:
        prepared: Collection and vectors.
        experiment: What to measure.
        threads: For every library.
        ladder: Search settings, cheapest first; none leaves the second measurement out.
        target: Share of the exact results (the first k, at most 100) that the rung must find.
        steps: Told of the progress.

    Returns:
        One or two measurements of one build.

    Raises:
        ChildError: the process failed.
        Stopped: the caller asked to stop; the process is ended.
    """
    clock = Clock(steps)
    documents, pool_seconds = ready_documents(prepared, experiment, clock)
    depth = depth_of(prepared, experiment)
    with tempfile.TemporaryDirectory(prefix="workbench-") as name:
        folder = Path(name)
        documents.save(folder / "documents")
        prepared.queries.save(folder / "queries")
        job = {
            "kind": experiment.index, "settings": experiment.index_settings, "k": depth, "ladder": list(ladder),
            "ids": list(prepared.collection.documents), "target": target, "threads": threads,
            "truth": prepared.truth_ids(steps)[:TUNING_QUERIES] if ladder else [],
        }  # fmt: skip
        outcome = _run(folder, job, steps)
    if "error" in outcome:
        raise ChildError(outcome["error"])

    def measured(point: dict[str, Any]) -> Measurement:
        rankings = tuple(
            Ranking(e["ids"], np.array(e["scores"], np.float32), tuple(e["notes"])) for e in point["found"]
        )
        searched = Searched(rankings, tuple(point["latencies_ms"]), point["queries_per_second"])
        built = Built(**point["built"])
        return assess(prepared, experiment, built, searched, documents, pool_seconds, clock)

    tuned = outcome.get("tuned")
    return Alone(measured(outcome["given"]), outcome.get("rung"), measured(tuned) if tuned else None)


def _run(folder: Path, job: dict[str, Any], steps: Steps) -> dict[str, Any]:
    """Do one job in its own process; what that process wrote."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    environment = {**os.environ, **dict.fromkeys(THREADS, str(job["threads"]))}  # before a library is imported
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    with (folder / "errors.txt").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                _forward(lines, job["kind"], steps)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
        if (folder / "outcome.json").exists():
            return json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [f"it ended with code {process.returncode}"])[-1]
        return {"error": f"The measurement of {job['kind']!r} ended early: {last}"}


def _forward(lines: queue.Queue[str], kind: str, steps: Steps) -> None:
    """Pass on progress that arrives within a fifth of a second."""
    end = time.monotonic() + 0.2
    while (left := end - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line.startswith('{"stage"'):  # a library may print too
            told = json.loads(line)
            steps(f"{kind}: {told['stage']}", told["done"], told["total"])
    if steps.stop():
        steps(kind, 0, 1)  # which raises


def first_that_reaches(
    index: Index, ladder: Sequence[dict[str, Any]], queries: TokenEmbeddings, k: int, truth: list[list[str]],
    target: float, steps: Steps = SILENT,
) -> int | None:  # fmt: skip
    """Climb a ladder of search settings until the share of exact results is there; no clock decides.

    Args:
        index: As it was built.
        ladder: Search settings, cheapest first.
        queries: Those that each rung is tried on, one at a time.
        k: Results a query: the share is of as many, at most 100.
        truth: Ids of exact search for each query.
        target: Share to reach.
        steps: Told of the progress.

    Returns:
        The number of the first rung that reaches it, or None.
    """
    for number, rung in enumerate(ladder):
        _, rankings = time_single(index.tuned(**rung), queries, k)
        steps("tuning", number + 1, len(ladder))
        shares = shares_found([ranking.ids for ranking in rankings], truth, min(k, TRUTH_DEPTH))
        if float(np.mean(shares)) >= target:
            steps("tuning", len(ladder), len(ladder))
            return number
    return None


def _rehearse(job: dict[str, Any], folder: Path, documents: TokenEmbeddings, queries: TokenEmbeddings) -> None:
    """Build and search a small index of the kind, so that neither time nor memory counts what happens only once."""
    count = min(REHEARSAL, len(documents))
    index = create_index(job["kind"], folder / "rehearsal", **job["settings"])
    with contextlib.suppress(UnsupportedError):  # a kind that cannot build from so few
        index.add(job["ids"][:count], documents.select(np.arange(count)))
    index.search(queries.select(np.arange(min(WARM_UP, len(queries)))), job["k"])
    shutil.rmtree(index.path, ignore_errors=True)


def _work(folder: Path) -> dict[str, Any]:
    """Build the index that `job.json` describes and measure it; JSON values."""
    import psutil

    steps, job = Steps(_tell), json.loads((folder / "job.json").read_text(encoding="utf-8"))
    documents, queries = TokenEmbeddings.open(folder / "documents"), TokenEmbeddings.open(folder / "queries")
    _rehearse(job, folder, documents, queries)
    index = create_index(job["kind"], folder / "index", **job["settings"])
    forget_peak()
    before = psutil.Process().memory_info().rss
    steps("build", 0, len(documents))
    start = time.perf_counter()
    index.add(job["ids"], documents)
    seconds = time.perf_counter() - start
    steps("build", len(documents), len(documents))
    searched, peak = search(index, queries, job["k"], steps), peak_memory()

    def point(of: Index, found: Searched) -> dict[str, Any]:
        built = Built(
            of.describe(), searched_bytes(of), seconds, max(peak - before, 0), of.dependency_defaults(),
            job["threads"], "child",
        )  # fmt: skip
        rankings = [{"ids": r.ids, "scores": np.asarray(r.scores).tolist(), "notes": r.notes} for r in found.rankings]
        return {"built": asdict(built), "found": rankings, "latencies_ms": found.latencies_ms,
                "queries_per_second": found.queries_per_second}  # fmt: skip

    outcome = {"given": point(index, searched)}
    sample = queries.select(np.arange(min(TUNING_QUERIES, len(queries))))
    rung = first_that_reaches(index, job["ladder"], sample, job["k"], job["truth"], job["target"], steps)
    if rung is not None:
        tuned = index.tuned(**job["ladder"][rung])
        outcome |= {"rung": job["ladder"][rung], "tuned": point(tuned, search(tuned, queries, job["k"], steps))}
    return outcome


def _tell(stage: str, done: int, total: int) -> None:
    print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)


def main() -> None:
    """Measure the job in the folder given."""
    folder = Path(sys.argv[1])
    try:
        outcome: dict[str, Any] = _work(folder)
    except WorkbenchError as error:
        outcome = {"error": str(error)}
    draft = folder / "outcome.draft"
    draft.write_text(json.dumps(outcome), encoding="utf-8")
    os.replace(draft, folder / "outcome.json")


if __name__ == "__main__":
    main()
