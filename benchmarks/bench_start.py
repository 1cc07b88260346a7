"""How long a person waits: the first and second `workbench demo` to an answering page, and a search.

Run: `python -m benchmarks.bench_start`, on an idle machine; the limits are 60 s, 10 s and 300 ms on 2 cores.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "start.json"


def start_demo(home: str) -> tuple[subprocess.Popen[str], float, str]:
    """Start the demo and wait until its page answers.

    Args:
        home: WORKBENCH_HOME.

    Returns:
        The process, seconds until the page answered, and its address.
    """
    environment = {**os.environ, "WORKBENCH_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "workbench", "demo", "--no-browser", "--port", "0"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"answers at (http://\S+)", line)
        if found:
            address = found[1].rstrip("/")
            urllib.request.urlopen(f"{address}/config", timeout=30).read()
            return process, time.perf_counter() - start, address
    raise SystemExit(f"the demo ended with code {process.wait()} before its page answered")


def search_milliseconds(home: str) -> dict[str, float]:
    """Median and slowest milliseconds of a question with the explanation of its best document, in one process."""
    os.environ |= {"WORKBENCH_HOME": home, "HF_HUB_OFFLINE": "1"}
    from workbench.workspace import open_workspace

    workspace = open_workspace()
    questions = list(workspace.collection.queries.values())[:60]
    times = []
    for question in questions:
        start = time.perf_counter()
        result = workspace.search(question, 10)
        workspace.explain(question, result.hits[0].id)
        times.append((time.perf_counter() - start) * 1e3)
    warm = times[5:]
    return {"median": median(warm), "p95": sorted(warm)[int(len(warm) * 0.95)], "n": len(warm)}


def main() -> None:
    """Measure, print and record."""
    with tempfile.TemporaryDirectory() as home:
        seconds = {}
        for name in ("first", "second"):
            process, seconds[name], address = start_demo(home)
            process.terminate()
            process.wait(30)
            print(f"{name} start to an answering page: {seconds[name]:.1f} s ({address})", flush=True)
        search = search_milliseconds(home)
    print(f"a search and its explanation: median {search['median']:.0f} ms, p95 {search['p95']:.0f} ms")
    record = {
        "seconds": seconds,
        "search_ms": search,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
