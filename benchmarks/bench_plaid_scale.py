"""PLAID at sizes that a notebook outgrows: build from vectors on disk, search, memory, small changes.

    python -m benchmarks.bench_plaid_scale --work FOLDER --documents 100000

draws the vectors (`benchmarks.made_vectors`), or takes those of a dictionary with `--set dictionary` (real text, which
`python -m benchmarks.data --set dictionary` fetches and encodes), builds an index in a process of its own, compares 50
questions with exact MaxSim, writes `results/plaid-scale-SET-DOCUMENTS.json` and, from all such records, the table of
docs/plaid.md. A million documents of 80 tokens need 15 GB for the vectors and 5 for the index. What is there from an
earlier run is used again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, made_vectors
from benchmarks.contract_table import ROOT, replace_between
from benchmarks.data import trained_collection
from engine import TokenEmbeddings, create_index, open_index
from engine.maxsim import maxsim_topk
from workbench.exports import markdown_table

K, QUERIES, REPEATS = 100, 50, 4
SLICE = 50_000  # documents that exact search holds at once
WHOLE = {"build", "searches", "add_100"}  # what a record holds after all its parts


def memory() -> dict[str, int]:
    """Bytes of this process: its own and those of mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile")}


class Peak:
    """The most memory of its own that this process held within a block; mapped files are not counted."""

    def __enter__(self) -> Peak:
        self.bytes, self.over = memory()["RssAnon"], threading.Event()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        return self

    def _watch(self) -> None:
        while not self.over.wait(0.05):
            self.bytes = max(self.bytes, memory()["RssAnon"])

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watcher.join()


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and processor seconds."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return {"s": time.perf_counter() - start, "processor_s": time.process_time() - used}


def task(options: argparse.Namespace) -> tuple[TokenEmbeddings, list[str], list[np.ndarray]]:
    """Documents, their ids and 50 questions."""
    if options.set == "dictionary":
        found = trained_collection("dictionary", made_vectors.DIM)
        documents, ids = found.documents[: options.documents], found.ids[: options.documents]
        asked = [np.asarray(query, np.float32) for query in found.queries]
    else:
        folder = options.work / f"made-{options.documents}"
        documents = made_vectors.collection(folder, options.documents, options.tokens)
        ids, asked = [f"d{i}" for i in range(options.documents)], made_vectors.real()[1]
    chosen = np.sort(np.random.default_rng(0).choice(len(asked), QUERIES, replace=False))
    return documents, ids, [asked[i] for i in chosen]


def truth(path: Path, documents: TokenEmbeddings, queries: list[np.ndarray]) -> np.ndarray:
    """Positions of the best K documents of exact MaxSim, int64 [queries, K]."""
    if not path.exists():
        asked, found, scores = TokenEmbeddings.from_list(queries), [], []
        for first in range(0, len(documents), SLICE):
            some = documents[first : first + SLICE]
            positions, values = maxsim_topk(asked, TokenEmbeddings(np.asarray(some.values), some.offsets), K)
            found.append(positions + first)
            scores.append(values)
        positions, values = np.concatenate(found, axis=1), np.concatenate(scores, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :K]
        np.save(path, np.take_along_axis(positions, order, axis=1))
    return np.load(path)


def build(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Build the index and say what it took; for a process of its own."""
    documents, ids, _ = task(options)
    settings = json.loads(options.settings)
    small = documents[:64]
    create_index("plaid", folder.with_name("warm"), **settings).add(ids[:64], small)  # compiled before the clock starts
    shutil.rmtree(folder.with_name("warm"))
    before, index = memory()["RssAnon"], create_index("plaid", folder, memory_limit=options.memory_limit, **settings)
    steps: list[tuple[float, str]] = []
    index.progress = lambda step: steps.append((time.perf_counter(), step.stage))  # type: ignore[attr-defined]
    with Peak() as peak:
        start = time.perf_counter()
        seconds = timed(lambda: index.add(ids, documents))
    stages = {
        stage: max(at for at, name in steps if name == stage) - start for stage in dict.fromkeys(s for _, s in steps)
    }
    about = index.describe()
    return {
        "build": seconds,
        "stage_ends_s": stages,
        "estimated": about["build"]["estimate"] if "build" in about else None,
        "memory_before": before,
        "memory_peak": peak.bytes,
        "bytes": about["bytes"],
        "bytes_per_token": about["bytes_per_token"],
        "centroids": about["centroids"],
        "tokens": documents.n_tokens,
        "documents": len(documents),
        "machine": machine.describe(),
    }


def search(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Open, search and watch the memory; for a process of its own."""
    documents, ids, queries = task(options)
    best = truth(options.work / f"truth-{options.set}-{len(documents)}.npy", documents, queries)
    import_module("engine.indexes.plaid")  # numba comes with it, which is no part of opening
    opening = timed(lambda: open_index(folder))
    index = open_index(folder)
    asked = [TokenEmbeddings.from_list([query]) for query in queries]
    before, first = memory(), timed(lambda: index.search(asked[0], K))
    rows = []
    for settings in [{}, *json.loads(options.tuned)]:
        tuned = index.tuned(**{"n_probe": 0, "n_candidates": 0, **settings})  # the defaults of today on any index
        times, used, found = [], [], []
        for number in range((1 + REPEATS) * len(asked)):
            start, start_used = time.perf_counter(), time.process_time()
            ranking = tuned.search(asked[number % len(asked)], K)[0]
            if number < len(asked):
                found.append(ranking.ids)
            else:
                times.append((time.perf_counter() - start) * 1e3)
                used.append((time.process_time() - start_used) * 1e3)
        p50, p95 = np.percentile(times, [50, 95])
        right = {
            f"R{k}": float(
                np.mean([len({ids[i] for i in t[:k]} & set(f[:k])) / k for t, f in zip(best, found, strict=True)])
            )
            for k in (10, K)
        }
        latency = {"p50_ms": float(p50), "p95_ms": float(p95), "processor_p50_ms": float(np.median(used))}
        rows.append({"settings": settings, **right, **latency})
    grown = {name: value - before[name] for name, value in memory().items()}
    return {"open": opening, "first_search": first, "searches": rows, "memory_of_searches": grown}


def change(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Add and remove 100 documents, twice, on a copy; for a process of its own."""
    documents, _, _ = task(options)
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    index, some, record = open_index(copy), documents[:100], {}
    for turn in (1, 2):  # the first turn compiles, and reads the ids
        names = [f"new-{turn}-{i}" for i in range(100)]
        for name, work in (("add", lambda n=names: index.add(n, some)), ("remove", lambda n=names: index.remove(n))):
            record[f"{name}_100" if turn == 2 else f"{name}_100_at_first"] = timed(work)
    shutil.rmtree(copy)
    return record


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "build": build, "search": search, "change": change,
}  # fmt: skip


def page() -> None:
    """Write the table of docs/plaid.md from the records of all sizes."""
    head = (
        "set", "documents", "tokens", "build s", "processor s", "peak GB", "bytes a token", "p50 ms", "p95 ms", "R10",
        "R100", "open s", "add 100 s", "remove 100 s",
    )  # fmt: skip
    rows, depths = [], []
    for path in (ROOT / "benchmarks" / "results").glob("plaid-scale-*.json"):
        found = json.loads(path.read_text())
        if not found.keys() >= WHOLE:
            continue
        first = found["searches"][0]
        name, _, *settings = path.stem.removeprefix("plaid-scale-").split("-")
        cells = [
            ", ".join([name, *settings]), f"{found['documents']:,}", f"{found['tokens'] / 1e6:.1f} M",
            f"{found['build']['s']:,.0f}", f"{found['build']['processor_s']:,.0f}", f"{found['memory_peak'] / 1e9:.2f}",
            f"{found['bytes_per_token']:.1f}", f"{first['p50_ms']:.1f}", f"{first['p95_ms']:.1f}",
            f"{first['R10']:.3f}", f"{first['R100']:.3f}", f"{found['open']['s']:.2f}",
            f"{found['add_100']['s']:.2f}", f"{found['remove_100']['s']:.2f}",
        ]  # fmt: skip
        rows.append((found["tokens"], cells))
        for entry in found["searches"] if len(found["searches"]) > 1 else []:
            settings = ", ".join(f"{name}={value}" for name, value in entry["settings"].items()) or "the defaults"
            measured = [f"{entry[name]:.3f}" for name in ("R10", "R100")]
            measured += [f"{entry[name]:.1f}" for name in ("p50_ms", "p95_ms", "processor_p50_ms")]
            depths.append((found["tokens"], [*cells[:2], settings, *measured]))
    table = markdown_table(head, [cells for _, cells in sorted(rows)])
    deeper = ("set", "documents", "settings of the search", "R10", "R100", "p50 ms", "p95 ms", "processor ms")
    table += "\n" + markdown_table(deeper, [cells for _, cells in sorted(depths, key=lambda entry: entry[0])])
    path = ROOT / "docs" / "plaid.md"
    text = replace_between(path.read_text(encoding="utf-8"), "plaid-scale", table.rstrip())
    path.write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("bench-plaid-scale"), help="folder for vectors and indexes")
    parser.add_argument("--set", choices=["made", "dictionary"], default="made")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=80, help="of a made document")
    parser.add_argument("--memory-limit", type=int, default=6_000_000_000)
    parser.add_argument("--settings", default="{}", help="of the index, JSON; a row of its own")
    parser.add_argument("--tuned", default="[]", help="more settings to search with, a JSON list")
    parser.add_argument("--parts", default="build,search,change", help="which of these")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts, each in a process of its own, and write the record."""
    options = arguments()
    settings = [f"{key}={value}" for key, value in json.loads(options.settings).items()]
    name = "-".join([options.set, str(options.documents), *settings])
    folder = options.work / f"plaid-{name}"
    options.work.mkdir(parents=True, exist_ok=True)
    if options.part:
        print(json.dumps(PARTS[options.part](options, folder)))
        return
    task(options)  # drawn or encoded before the clock starts
    past, record = options.work / f"{name}.json", {}
    if past.exists():
        record = json.loads(past.read_text())
    for part in options.parts.split(","):
        if part == "build" and folder.exists():
            continue
        command = [sys.executable, "-m", "benchmarks.bench_plaid_scale", *sys.argv[1:], "--part", part]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record |= json.loads(done.stdout.splitlines()[-1])
        past.write_text(json.dumps(record))
    machine.save(f"plaid-scale-{name}", record)
    page()


if __name__ == "__main__":
    main()
