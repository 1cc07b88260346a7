"""PLAID on all five collections together: build, open, search, memory, small changes.

`python -m benchmarks.bench_plaid_large --work FOLDER` builds the index there if it is not there yet, and writes
`results/plaid-large.json`. Opening and memory are measured in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.data import Embedded, all_set, small_set
from engine import TokenEmbeddings, create_index, open_index
from engine.maxsim import QuantizedDocuments, maxsim_topk

K, QUERIES = 100, 50
READER = """
import json, sys, time
from engine import TokenEmbeddings, open_index
import engine.indexes.plaid  # the import is not what is measured
queries = TokenEmbeddings.open(sys.argv[2])
def memory():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status") if line.startswith("Rss"))
    return {name: int(value.split()[0]) * 1024 for name, value in lines.items()}
start, used = time.perf_counter(), time.process_time()
index = open_index(sys.argv[1])
seconds, used = time.perf_counter() - start, time.process_time() - used
before = memory()
for number in range(100):
    index.search(TokenEmbeddings.from_list([queries[number]]), 100)
after = memory()
grown = {name: after[name] - before[name] for name in after}
print(json.dumps({"open_s": seconds, "open_processor_s": used, **grown, "after": after}))
"""


def chosen(data: Embedded) -> list[TokenEmbeddings]:
    picked = np.sort(np.random.default_rng(0).choice(len(data.queries), QUERIES, replace=False))
    return [TokenEmbeddings.from_list([np.asarray(data.queries[int(i)], np.float32)]) for i in picked]


def search(index: Any, queries: list[TokenEmbeddings]) -> dict[str, float]:
    """Wall and processor milliseconds (all threads) of one query at a time, warm."""
    times, used = [], []
    for number in range(4 * len(queries)):
        start, start_used = time.perf_counter(), time.process_time()
        index.search(queries[number % len(queries)], K)
        if number >= len(queries):
            times.append((time.perf_counter() - start) * 1e3)
            used.append((time.process_time() - start_used) * 1e3)
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "processor_p50_ms": float(np.median(used))}


def built(folder: Path, data: Embedded, **settings: Any) -> Any:
    if folder.exists():
        return open_index(folder)
    index = create_index("plaid", folder, **settings)
    index.add(data.ids, data.documents)
    (folder.parent / f"{folder.name}.json").write_text(json.dumps(index.describe()["build"]))
    return open_index(folder)


def recall(index: Any, queries: list[TokenEmbeddings], data: Embedded) -> dict[str, float]:
    codes, totals = QuantizedDocuments.build(data.documents), {10: 0.0, K: 0.0}
    for query in queries:
        positions, _ = maxsim_topk(query, codes, K)
        found = index.search(query, K)[0].ids
        for k in totals:
            totals[k] += len({data.ids[int(i)] for i in positions[0][:k]} & set(found[:k])) / k / len(queries)
    return {f"R{k}": value for k, value in totals.items()}


def changes(folder: Path, data: Embedded) -> dict[str, float]:
    """Wall and processor seconds of adding and removing 100 documents, on a copy."""
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    index, some = open_index(copy), data.documents.select(np.arange(0, 28_900, 289)[:100])
    record = {}
    for turn in (1, 2):  # the first turn compiles what is not compiled yet
        names = [f"new-{turn}-{i}" for i in range(100)]
        for name, work in (("add", lambda n=names: index.add(n, some)), ("remove", lambda n=names: index.remove(n))):
            start, used = time.perf_counter(), time.process_time()
            work()
            record[f"{name}_100_s"] = time.perf_counter() - start
            record[f"{name}_100_processor_s"] = time.process_time() - used
    shutil.rmtree(copy)
    return record


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("bench-plaid"), help="folder for the indexes")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data, small = all_set(), small_set()
    folder = options.work / "all"
    index, little = built(folder, data), built(options.work / "small", small)
    queries, some = chosen(data), chosen(small)
    record: dict[str, Any] = {"tokens": data.documents.n_tokens, "documents": len(data.ids)}
    record |= {"build": json.loads((options.work / "all.json").read_text())}
    about = index.describe()
    record |= {"bytes": about["bytes"], "bytes_per_token": about["bytes_per_token"], "centroids": about["centroids"]}
    record |= {"small": search(little, some), "all": search(index, queries)}
    for name in ("p50_ms", "processor_p50_ms"):
        record[f"{name}_ratio"] = record["all"][name] / record["small"][name]
    record |= recall(index, queries, data)
    asked = options.work / "queries"
    joined = TokenEmbeddings.from_list([np.asarray(data.queries[int(i)], np.float32) for i in range(0, 1700, 17)])
    joined.save(asked)
    reader = [sys.executable, "-c", READER, str(folder), str(asked)]
    for _ in range(2):  # the second time the files are in the page cache
        record["reader"] = json.loads(subprocess.run(reader, check=True, capture_output=True, text=True).stdout)
    grown = sum(record["reader"][name] for name in ("RssAnon", "RssFile", "RssShmem"))
    record["memory_by_index"] = grown / about["bytes"]
    record |= changes(folder, data)
    machine.save("plaid-large", {**record, "machine": machine.describe()})


if __name__ == "__main__":
    main()
