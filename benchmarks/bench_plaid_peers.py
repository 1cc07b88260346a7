"""PLAID, HNSW, fast-plaid and xtr-warp-rs on the same documents and questions: builds, times, recall, and a figure.

    python -m benchmarks.bench_plaid_peers --work FOLDER --documents 100000

runs each system in a process of its own under this one, one after the other, on the vectors of `bench_plaid_scale`. One
that takes more than `--limit` seconds of processor time, which other work on the machine does not change, is stopped,
and the table says so; `--systems` runs some of them again and keeps the other rows. It writes
`results/plaid-peers.json`, replaces the table of docs/plaid.md and draws docs/plaid/latencies.svg; `--page` only does
the last two.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.bench_plaid import System, Task, built, fast_plaid, folder_bytes, plaid, xtr_warp
from benchmarks.bench_plaid_scale import K, Peak, task, truth
from benchmarks.contract_table import ROOT, replace_between
from benchmarks.index_page import picture
from engine import TokenEmbeddings, create_index, open_index
from workbench import figures
from workbench.exports import markdown_table

RESULT, PAGE = ROOT / "benchmarks" / "results" / "plaid-peers.json", ROOT / "docs" / "plaid.md"
REPEATS = 4
LONGEST_SEARCH = 120.0  # seconds of searching for each line


def hnsw(task: Task) -> System:
    folder, numbers = task.work / "hnsw", {name: position for position, name in enumerate(task.ids)}
    seconds = built(folder, lambda: create_index("hnsw", folder).add(task.ids, task.documents))
    index = open_index(folder)

    def search(query: np.ndarray) -> list[int]:
        return [numbers[name] for name in index.search(TokenEmbeddings.from_list([query]), k=K)[0].ids]

    return System(seconds, folder_bytes(folder), {"defaults": search})


SYSTEMS: dict[str, Callable[[Task], System]] = {
    "plaid": lambda task: plaid(task, 4, {"defaults": {}}),
    "hnsw": hnsw,
    "fast-plaid": fast_plaid,
    "xtr-warp-rs": xtr_warp,
}


def one(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Build or open one system and measure every way to search it; for a process of its own."""
    resource.setrlimit(resource.RLIMIT_CPU, (options.limit, options.limit + 5))
    documents, ids, queries = task(options)
    best = truth(options.work / f"truth-{options.set}-{len(documents)}.npy", documents, queries)
    work = options.work / f"peers-{options.set}-{len(documents)}"
    work.mkdir(exist_ok=True)
    everything = Task(documents, queries, ids, best, work, machine.describe()["threads"])
    with Peak() as peak:
        system = SYSTEMS[options.system](everything)
    rows = []
    for variant, search in system.searches.items():
        found, times, start = [search(query) for query in queries], [], time.perf_counter()
        while len(times) < REPEATS * len(queries) and time.perf_counter() - start < LONGEST_SEARCH:
            began = time.perf_counter()
            search(queries[len(times) % len(queries)])
            times.append((time.perf_counter() - began) * 1e3)
        recall = {
            f"R{k}": float(
                np.mean([len(set(f[:k]) & set(t[:k].tolist())) / k for f, t in zip(found, best, strict=True)])
            )
            for k in (10, K)
        }
        about = {"system": options.system, "variant": variant, **system.build, "memory_peak": peak.bytes}
        rows.append({**about, "bytes_per_token": system.bytes / documents.n_tokens, **recall, "times_ms": times})
    return rows


def lines(rows: list[dict[str, Any]]) -> str:
    """The table."""
    head = ("system", "build s", "processor s", "bytes a token", "p50 ms", "p95 ms", "p99 ms", "R10", "R100")
    cells = []
    for row in rows:
        name = row["system"] if row.get("variant", "defaults") == "defaults" else f"{row['system']}, {row['variant']}"
        if "stopped" in row:
            cells.append((name, row["stopped"], *[""] * 7))
            continue
        p50, p95, p99 = np.percentile(row["times_ms"], [50, 95, 99])
        build = [f"{row[key]:,.0f}" if key in row else "" for key in ("build_s", "build_processor_s")]
        times = [f"{value:.1f}" for value in (p50, p95, p99)]
        recall = [f"{row[key]:.3f}"[1:] if row[key] < 1 else "1" for key in ("R10", "R100")]
        cells.append((name, *build, f"{row['bytes_per_token']:.1f}", *times, *recall))
    return markdown_table(head, cells).rstrip()


def page(record: dict[str, Any]) -> None:
    """Replace the table of the page, and draw the latencies."""
    folder = PAGE.parent / "plaid"
    folder.mkdir(exist_ok=True)
    times = {f"{r['system']}, {r['variant']}": r["times_ms"] for r in record["rows"] if "times_ms" in r}
    for theme, end in (("light", ""), ("dark", "-dark")):
        figures.export(figures.latencies(times, theme=theme), folder / f"latencies{end}.svg", 640)
    about = record["machine"]
    under = f"{record['documents']:,} documents, {record['tokens']:,} tokens ({record['set']}), {record['queries']} "
    under += (
        f"questions, one at a time; {about['processor']}, {about['threads']} threads, load {about['load_average'][0]}."
    )
    shown = picture("plaid/latencies", "Share of questions answered within a time")
    text = replace_between(
        PAGE.read_text(encoding="utf-8"), "plaid-peers", f"{lines(record['rows'])}\n\n{under}\n\n{shown}"
    )
    PAGE.write_text(text, encoding="utf-8")


def others(record: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
    """Rows of other systems on the same vectors, from an earlier run on this machine."""
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    if any(before.get(name) != value for name, value in record.items()):
        return []
    return [row for row in before["rows"] if row["system"] not in asked]


def main() -> None:
    """Run the systems, each in a process of its own, and write the record and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("bench-plaid-scale"), help="folder for vectors and indexes")
    parser.add_argument("--set", choices=["made", "dictionary"], default="made")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=80, help="of a made document")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--limit", type=int, default=7200, help="processor seconds: an hour of two cores")
    parser.add_argument("--page", action="store_true", help="only write the page from the record")
    parser.add_argument("--system", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.page:
        page(json.loads(RESULT.read_text()))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    if options.system:
        print(json.dumps(one(options)))
        return
    documents, _, queries = task(options)
    truth(options.work / f"truth-{options.set}-{len(documents)}.npy", documents, queries)
    record: dict[str, Any] = {"set": options.set, "documents": len(documents), "tokens": documents.n_tokens}
    asked = options.systems.split(",")
    record |= {"queries": len(queries), "rows": others(record, asked), "machine": machine.describe()}
    for name in asked:
        command = [sys.executable, "-m", "benchmarks.bench_plaid_peers", *sys.argv[1:], "--system", name]
        try:
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            record["rows"] += json.loads(done.stdout.splitlines()[-1])
        except subprocess.CalledProcessError as error:
            late = error.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
            why = f"stopped after {options.limit:,} processor s" if late else f"ended with status {error.returncode}"
            record["rows"].append({"system": name, "stopped": why})
        machine.save("plaid-peers", record)
    page(record)


if __name__ == "__main__":
    main()
