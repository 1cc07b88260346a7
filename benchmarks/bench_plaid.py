"""PLAID side by side with exact MaxSim, fast-plaid and xtr-warp-rs: build, one query at a time, recall, bytes.

`python -m benchmarks.bench_plaid --systems "plaid 4 bits,exact" --record FILE` runs the systems named, one after the
other in one process, and adds what it measured to a JSON record; `--systems all` runs every one. Peers take minutes to
build; their index folders are kept under `--work`, so that a later run can measure the search again without the build.
Beside the wall clock stands the processor time of all threads, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.data import all_set, small_set
from engine import TokenEmbeddings, create_index, open_index
from engine.maxsim import maxsim

K = 100
Search = Callable[[np.ndarray], list[int]]  # one query [m, dim] -> positions of documents, best first


@dataclass
class Task:
    """What is measured on."""

    documents: TokenEmbeddings
    queries: list[np.ndarray]
    ids: list[str]
    truth: np.ndarray
    work: Path
    threads: int


@dataclass
class System:
    """An index that is ready, and ways to search it."""

    build: dict[str, float]
    bytes: int
    searches: dict[str, Search]


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def built(folder: Path, build: Callable[[], Any]) -> dict[str, float]:
    """Wall and processor seconds of a build, now or in the run that made the folder."""
    done = folder.with_suffix(".built")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        start, used = time.perf_counter(), time.process_time()
        build()
        seconds = {"build_s": time.perf_counter() - start, "build_processor_s": time.process_time() - used}
        done.write_text(json.dumps(seconds))
    return json.loads(done.read_text())


def plaid(task: Task, bits: int, settings: dict[str, dict[str, Any]]) -> System:
    folder = task.work / f"plaid-{bits}"
    numbers = {name: position for position, name in enumerate(task.ids)}

    def build() -> None:
        create_index("plaid", folder, bits=bits).add(task.ids, task.documents)

    seconds = built(folder, build)
    index = open_index(folder)

    def search(**chosen: Any) -> Search:
        tuned = index.tuned(**chosen)
        return lambda query: [numbers[name] for name in tuned.search(TokenEmbeddings.from_list([query]), k=K)[0].ids]

    return System(seconds, index.describe()["bytes"], {name: search(**chosen) for name, chosen in settings.items()})


def exact(task: Task) -> System:
    import torch

    values = torch.from_numpy(task.documents.values.astype(np.float32))
    starts = task.documents.offsets[:-1]

    def product(query: np.ndarray) -> list[int]:
        similarity = (torch.from_numpy(query) @ values.T).numpy()
        return list(np.argsort(-np.maximum.reduceat(similarity, starts, axis=1).sum(axis=0), kind="stable")[:K])

    def ours(query: np.ndarray) -> list[int]:
        return list(np.argsort(-maxsim(TokenEmbeddings.from_list([query]), task.documents)[0], kind="stable")[:K])

    size = task.documents.values.nbytes
    return System({}, size, {"one float32 product": product, "engine.maxsim": ours})


def fast_plaid(task: Task) -> System:
    import torch
    from fast_plaid.search import FastPlaid

    folder = task.work / "fast-plaid"
    tensors = [torch.from_numpy(item.astype(np.float32)) for item in task.documents]
    index = FastPlaid(str(folder), device="cpu")
    seconds = built(folder, lambda: index.create(tensors, nbits=4))

    def search(**chosen: Any) -> Search:
        def one(query: np.ndarray) -> list[int]:
            found = index.search(torch.from_numpy(query)[None], top_k=K, show_progress=False, **chosen)
            return [int(document) for document, _ in found[0]]

        return one

    return System(
        seconds, folder_bytes(folder), {"n_full_scores=1024": search(n_full_scores=1024), "defaults": search()}
    )


def xtr_warp(task: Task) -> System:
    import torch
    from xtr_warp import XTRWarp

    folder = task.work / "xtr-warp"
    tensors = [torch.from_numpy(item.astype(np.float32)) for item in task.documents]
    index = XTRWarp(str(folder), device="cpu")
    seconds = built(folder, lambda: index.create(tensors, device="cpu", show_progress=False))
    index = XTRWarp(str(folder), device="cpu").load(device="cpu")

    def one(query: np.ndarray) -> list[int]:
        asked = torch.from_numpy(query)[None]
        found = index.search(asked, top_k=K, num_threads=task.threads, show_progress=False)
        return [int(document) for document, _ in found[0]]

    return System(seconds, folder_bytes(folder), {"defaults": one})


SYSTEMS: dict[str, Callable[[Task], System]] = {
    "plaid 4 bits": lambda task: plaid(
        task,
        4,
        {"defaults": {}, "n_full_scores=256": {"n_full_scores": 256}, "n_full_scores=1024": {"n_full_scores": 1024}},
    ),
    "plaid 8 bits": lambda task: plaid(task, 8, {"defaults": {}, "n_full_scores=1024": {"n_full_scores": 1024}}),
    "exact": exact,
    "fast-plaid": fast_plaid,
    "xtr-warp-rs": xtr_warp,
}


def measure(task: Task, search: Search, limit_s: float) -> dict[str, float]:
    """Recall, then times of one query at a time, until the time limit is reached."""
    found, spent, times = [search(query) for query in task.queries], 0.0, []
    used = time.process_time()
    while spent < limit_s and len(times) < 4 * len(task.queries):
        query = task.queries[len(times) % len(task.queries)]
        start = time.perf_counter()
        search(query)
        times.append(time.perf_counter() - start)
        spent += times[-1]
    used = (time.process_time() - used) / len(times) * 1e3
    recall = {
        f"R{n}": float(np.mean([len(set(f[:n]) & set(t[:n])) / n for f, t in zip(found, task.truth, strict=True)]))
        for n in (10, K)
    }
    p50, p95 = np.percentile(times, [50, 95]) * 1e3
    return {**recall, "p50_ms": float(p50), "p95_ms": float(p95), "mean_processor_ms": used, "searches": len(times)}


def load_task(name: str, n_queries: int, work: Path, threads: int) -> Task:
    found = small_set() if name == "small" else all_set()
    documents = TokenEmbeddings(np.asarray(found.documents.values), found.documents.offsets)
    chosen = np.sort(np.random.default_rng(0).choice(len(found.queries), n_queries, replace=False))
    queries = [np.ascontiguousarray(found.queries[int(i)], dtype=np.float32) for i in chosen]
    scores = maxsim(TokenEmbeddings.from_list(queries), documents)
    truth = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    work /= name
    work.mkdir(parents=True, exist_ok=True)
    return Task(documents, queries, found.ids, truth, work, threads)


def main() -> None:
    """Run the systems and print one line for each way to search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["small", "all"], default="small")
    parser.add_argument("--systems", default="plaid 4 bits,plaid 8 bits,exact")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--limit", type=float, default=20, help="seconds of searching for each line")
    parser.add_argument("--work", type=Path, default=Path("bench-plaid"), help="folder for the indexes")
    parser.add_argument("--record", type=Path, help="JSON file to add the results to")
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    task = load_task(options.set, options.queries, options.work, threads)
    names = list(SYSTEMS) if options.systems == "all" else options.systems.split(",")
    for name in names:
        system = SYSTEMS[name](task)
        for variant, search in system.searches.items():
            line = {
                "set": options.set,
                "system": name,
                "variant": variant,
                **system.build,
                "bytes_per_token": system.bytes / task.documents.n_tokens,
                **measure(task, search, options.limit),
            }
            print(json.dumps(line), flush=True)
            if options.record:
                past = json.loads(options.record.read_text()) if options.record.exists() else []
                options.record.write_text(json.dumps([*past, {**line, "machine": machine.describe()}], indent=1))


if __name__ == "__main__":
    main()
