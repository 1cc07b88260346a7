"""How many clients a server takes: `python -m benchmarks.bench_serve` writes results/serve.json.

What it measures takes the place of the same from before; `python -m benchmarks.serve_page` writes the table.

`workbench serve` runs in a process of its own on the embedded collection, and locust asks it: clients that ask one
thing after the other without a pause. Searches alone give the times of a search; "mixed" adds explanations, reranks of
fifty documents and encodings. `--seconds 300 --clients 50` is the long run. The clients take processor time of the same
machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.machine import RESULTS, describe, save
from engine import load_collection

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"errors_at_50": 0, "p95_over_p50_at_20": 2.0}
KINDS = {"search": ["search"], "mixed": ["search"] * 8 + ["explain", "rerank", "encode"]}
SPEEDING = 5  # seconds in which the clients come, which do not count


def started(shared: bool) -> tuple[subprocess.Popen[str], str]:
    """A server that answers, and its address."""
    command = [sys.executable, "-m", "workbench", "serve", "--collection", "embedded", "--port", "0"]
    server = subprocess.Popen(
        [*command, *(["--shared-batches"] if shared else [])], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    for line in server.stderr:
        if "answered at " in line:
            return server, line.partition("answered at ")[2].partition(",")[0]
    raise RuntimeError("The server ended before it answered: run `workbench serve` to see why.")


def drained(server: subprocess.Popen[str]) -> None:
    """Read the log away, or the server would wait for a reader."""
    assert server.stderr is not None
    threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True).start()


def load(url: str, clients: int, seconds: int, kinds: str) -> dict[str, Any]:
    """What locust measured: requests, failures, and milliseconds by kind of request."""
    collection = load_collection("embedded")
    material = {"questions": list(collection.queries.values()), "documents": list(collection.documents)}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "material.json"
        place.write_text(json.dumps({**material, "kinds": KINDS[kinds]}), encoding="utf-8")
        command = [
            sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "serve_load.py"), "--host", url,
            "--headless", "--users", str(clients), "--spawn-rate", str(max(clients / SPEEDING, 1)),
            "--run-time", f"{seconds + SPEEDING}s", "--reset-stats", "--csv", f"{folder}/run", "--only-summary",
            "--loglevel", "ERROR", "--exit-code-on-error", "0",
        ]  # fmt: skip
        environment = {**os.environ, "LOAD_MATERIAL": str(place)}
        subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        with open(f"{folder}/run_stats.csv", encoding="utf-8") as file:
            found = {row["Name"]: measured(row) for row in csv.DictReader(file)}
    return {"clients": clients, "seconds": seconds, "kinds": kinds, "all": found.pop("Aggregated"), **found}


def measured(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of locust's table."""
    return {
        "asked": int(row["Request Count"]), "errors": int(row["Failure Count"]), "p50_ms": float(row["50%"]),
        "p95_ms": float(row["95%"]), "most_ms": round(float(row["Max Response Time"])),
        "a_second": round(float(row["Requests/s"]), 1),
    }  # fmt: skip


def loads() -> list[dict[str, Any]]:
    """The runs that were measured before."""
    place = RESULTS / "serve.json"
    return json.loads(place.read_text(encoding="utf-8"))["runs"] if place.exists() else []


def main() -> None:
    """Serve the embedded collection and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 20, 50])
    parser.add_argument("--seconds", type=int, default=30, help="of each measurement")
    parser.add_argument("--kinds", choices=("search", "mixed"), nargs="*", default=["search", "mixed"])
    parser.add_argument("--batches", choices=("own", "shared"), nargs="*", default=["own", "shared"])
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for batches in options.batches:
        server, url = started(batches == "shared")
        drained(server)
        try:
            load(url, 2, 3, "mixed")  # the first requests compile and map
            for kinds in options.kinds:
                for clients in options.clients:
                    runs.append({"batches": batches, **load(url, clients, options.seconds, kinds)})
                    print(json.dumps(runs[-1]), file=sys.stderr)
            runs[-1]["resident_mb"] = round(psutil.Process(server.pid).memory_info().rss / 1e6)
            runs[-1]["health"] = httpx.get(f"{url}/health").json()["status"]
        finally:
            server.terminate()
            server.wait()
    asked = {(run["batches"], run["kinds"], run["clients"]) for run in runs}
    others = [run for run in loads() if (run["batches"], run["kinds"], run["clients"]) not in asked]
    save("serve", {"goals": GOALS, "runs": [*others, *runs], "machine": describe()})


if __name__ == "__main__":
    main()
