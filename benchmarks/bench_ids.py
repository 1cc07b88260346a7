"""What a million ids cost an index: open, first search, additions and removals, with documents too small to matter.

    python -m benchmarks.bench_ids --kinds exact plaid sharded --documents 1000000 --work FOLDER

builds an index of documents of three tokens in eight dimensions (one of four for hnsw), measures it in a process of its
own, and writes `results/ids-KIND-DOCUMENTS.json`. Compiled code is loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from engine import TokenEmbeddings, create_index, open_index

SETTINGS: dict[str, dict[str, Any]] = {
    "exact": {},
    "hnsw": {"m": 4, "ef_construction": 8},
    "plaid": {"n_centroids": 1024, "iterations": 1},
    "sharded": {"of": "exact", "shards": 4},
}
SOME = 100


def documents(kind: str, count: int, seed: int) -> TokenEmbeddings:
    """Random documents of unit vectors."""
    tokens, dim = (1, 4) if kind == "hnsw" else (3, 8)
    values = np.random.default_rng(seed).standard_normal((count * tokens, dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenEmbeddings(values.astype(np.float16), np.arange(0, count * tokens + 1, tokens, dtype=np.int64))


def name(number: int) -> str:
    """An id as long as those of a large collection tend to be."""
    return f"package/{number:07d}"


def own_memory() -> int:
    """Bytes of this process that no mapped file holds."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def measure(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Everything of one kind, on a copy of its index; for a process of its own."""
    path, warm = folder / f"copy-{kind}", folder / f"warm-{kind}"
    for old in (path, warm):
        shutil.rmtree(old, ignore_errors=True)
    small = create_index(kind, warm, **SETTINGS[kind])
    small.add([name(i) for i in range(3000)], documents(kind, 3000, 5))
    small.add(["one"], documents(kind, 1, 6))
    small.remove(["one"])
    small.search(documents(kind, 1, 7))
    shutil.rmtree(warm)
    shutil.copytree(folder / f"{kind}-{count}", path)
    query, index, rows = documents(kind, 1, 3), open_index(path), {}
    before = own_memory()

    def timed(what: str, work: Callable[[], Any]) -> None:
        start, used = time.perf_counter(), time.process_time()
        work()
        rows[what] = {"s": time.perf_counter() - start, "processor_s": time.process_time() - used}

    timed("open", lambda: open_index(path))
    timed("first search", lambda: index.search(query))
    timed("search", lambda: index.search(query))
    taken = own_memory() - before
    for turn in (1, 2):
        more, fewer = [f"new/{turn}/{i}" for i in range(SOME)], [name(turn + i * (count // SOME)) for i in range(SOME)]
        timed(f"add {SOME}, turn {turn}", lambda m=more, t=turn: index.add(m, documents(kind, SOME, 10 + t)))
        timed(f"remove {SOME}, turn {turn}", lambda f=fewer: index.remove(f))
    subset = [name(3 + i * (count // 10_000)) for i in range(10_000)] if count >= 100_000 else index.ids[:100]
    timed(f"search among {len(subset):,}", lambda: index.search(query, subset=subset))
    shutil.rmtree(path)
    size = sum(entry.stat().st_size for entry in (folder / f"{kind}-{count}").rglob("*") if entry.is_file())
    return {"rows": rows, "bytes": size, "memory_of_a_search": taken, "machine": machine.describe()}


def main() -> None:
    """Build what is missing and measure each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(SETTINGS), default=["exact", "plaid", "sharded"])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--work", type=Path, default=Path("bench-ids"), help="folder for the indexes")
    parser.add_argument("--measure", choices=list(SETTINGS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = options.documents
    if options.measure:
        print(json.dumps(measure(options.measure, count, options.work)))
        return
    for kind in options.kinds:
        path = options.work / f"{kind}-{count}"
        if not path.exists():
            ids = [name(i * 7919 % count) for i in range(count)]
            create_index(kind, path, **SETTINGS[kind]).add(ids, documents(kind, count, 0))
        command = [sys.executable, "-m", "benchmarks.bench_ids", *sys.argv[1:], "--measure", kind]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        machine.save(f"ids-{kind}-{count}", json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
