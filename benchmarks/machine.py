"""What a benchmark ran on, and where its output goes."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "numba", "torch", "sentence-transformers", "transformers", "maxsim-cpu")


def describe() -> dict[str, Any]:
    """Processor, cores, level of the kernels and versions."""
    from engine.machine import processor
    from engine.simd import choice, threads

    return {
        "processor": processor(),
        "threads": threads.thread_count(),
        "load_average": [round(x, 1) for x in os.getloadavg()],
        **choice.describe(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def timed(work: Callable[[], Any], repeats: int = 5) -> dict[str, float]:
    """Milliseconds of wall clock and of processor time (all threads together): least, and median of wall clock.

    Args:
        work: Called once to warm up, then `repeats` times.
        repeats: How many calls are timed.
    """
    work()
    wall, used = [], []
    for _ in range(repeats):
        start, start_used = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - start) * 1e3)
        used.append((time.process_time() - start_used) * 1e3)
    return {"wall_ms": min(wall), "wall_median_ms": statistics.median(wall), "processor_ms": min(used)}


def save(name: str, record: dict[str, Any]) -> None:
    """Print a record and write it to `benchmarks/results`."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1)
    print(text)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def save_part(name: str, part: dict[str, Any], order: Sequence[str]) -> list[dict[str, Any]]:
    """Put what was measured on one collection beside what is there of the others, with the machine of each.

    Args:
        name: Of the record in `benchmarks/results`.
        part: With the collection's name under "collection".
        order: Of the collections.

    Returns:
        All parts, in order.
    """
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["collections"] if path.exists() else []
    parts = {entry["collection"]: entry for entry in [*kept, {**part, "machine": describe()}]}
    found = [parts[entry] for entry in order if entry in parts]
    path.write_text(json.dumps({"collections": found}, indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))["collections"]
