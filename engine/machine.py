"""The machine and the software that a number came from, and the memory that it took."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "late-interaction-workbench", "torch", "transformers", "sentence-transformers", "numpy", "scipy", "numba", "ranx",
    "accelerate", "datasets", "peft",
)  # fmt: skip


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Versions of Python, of the packages that can change a number, and of more; absent ones are left out."""
    from engine.indexes import packages

    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *packages(), *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@lru_cache
def machine() -> dict[str, Any]:
    """Processor, cores, threads, memory in bytes and operating system."""
    import psutil

    return {
        "processor": processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
    }


@lru_cache
def processor() -> str:
    """The name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def in_words() -> str:
    """Processor and how many cores this process may use, such as "2 cores of Intel Xeon"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} cores of {processor()}"


def peak_memory() -> int:
    """The largest resident memory of this process in bytes since its start, or since `forget_peak`."""
    try:  # not getrusage: on Linux it counts the process that this one was forked from
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Let the peak begin anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
