"""Exact scoring beside the peers: every ratio from one command, `python -m benchmarks.bench_maxsim`.

The small set (cranfield, cisi and med, 96 dimensions), one query at a time unless said otherwise. Wall clock is what a
person waits for; processor time, of all threads together, is also printed because it does not change when other
programs run beside the benchmark.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks.data import ALL, Embedded, embedded_collection, project, projection, small_set
from benchmarks.machine import RESULTS, describe, save, timed
from engine import TokenEmbeddings, maxsim
from engine.maxsim import QuantizedDocuments, maxsim_topk
from engine.retrieval import top_positions

K = 100


def peers(queries: list[np.ndarray], documents: TokenEmbeddings, repeats: int) -> dict[str, Any]:
    """maxsim-cpu and sentence-transformers on the same queries, one at a time."""
    import torch
    from sentence_transformers.util import maxsim as theirs

    arrays = [np.ascontiguousarray(document) for document in documents]
    tensors = [torch.from_numpy(document) for document in arrays]
    rows = {}
    try:
        import maxsim_cpu

        score: Any = maxsim_cpu.maxsim_scores_variable  # type: ignore[attr-defined]  # a compiled module, without stubs
        rows["maxsim-cpu"] = timed(lambda: [score(q, arrays) for q in queries], repeats)
    except ImportError:
        print("maxsim-cpu is left out: it is not installed (uv pip install maxsim-cpu==0.1.0).", file=sys.stderr)
    few = queries[:3]
    slow = timed(lambda: [theirs([torch.from_numpy(q)], tensors) for q in few], 1)
    rows["sentence-transformers"] = {name: value * len(queries) / len(few) for name, value in slow.items()}
    return rows


def ours(queries: TokenEmbeddings, documents: TokenEmbeddings, repeats: int) -> dict[str, Any]:
    """Our ways on the same queries."""
    single = [queries.select([i]) for i in range(len(queries))]
    codes = QuantizedDocuments.build(documents)
    half = documents.astype("float16")
    return {
        "maxsim": timed(lambda: [maxsim(q, documents) for q in single], repeats),
        "maxsim, float16 documents": timed(lambda: [maxsim(q, half) for q in single], repeats),
        "maxsim, queries together": timed(lambda: maxsim(queries, documents), repeats),
        "maxsim_topk": timed(lambda: [maxsim_topk(q, codes, K) for q in single], repeats),
        "maxsim_topk, queries together": timed(lambda: maxsim_topk(queries, codes, K), repeats),
        "build of the codes": timed(lambda: QuantizedDocuments.build(documents), 2),
    }


def speed(data: Embedded, count: int, repeats: int) -> dict[str, Any]:
    """Milliseconds a query and the ratios that count."""
    documents = data.documents.astype("float32")
    chosen = np.linspace(0, len(data.queries) - 1, count).astype(np.int64)
    queries = data.queries.select(chosen).astype("float32")
    rows = ours(queries, documents, repeats) | peers(list(queries), documents, repeats)
    for name, row in rows.items():
        if name != "build of the codes":
            for key in row:
                row[key] /= len(queries)
    ratio = {}
    for clock in ("wall_ms", "processor_ms"):
        base = rows["maxsim"][clock]
        ratio[clock] = {
            **({"maxsim against maxsim-cpu": rows["maxsim-cpu"][clock] / base} if "maxsim-cpu" in rows else {}),
            "maxsim against sentence-transformers": rows["sentence-transformers"][clock] / base,
            "queries together against one at a time": base / rows["maxsim, queries together"][clock],
            "maxsim_topk against maxsim": base / rows["maxsim_topk"][clock],
        }
    return {"queries": len(queries), "documents": len(documents), "tokens": documents.n_tokens, "rows": rows} | {
        "times_as_fast": ratio
    }


def identical(name: str) -> dict[str, int]:
    """Queries of a collection whose proven top k is the full computation's, ids and scores, at 96 dimensions."""
    data, matrix = embedded_collection(name), projection()
    documents, queries = project(data.documents, matrix), project(data.queries, matrix)
    codes, same = QuantizedDocuments.build(documents), 0
    order = np.arange(len(documents))
    for start in range(0, len(queries), 64):
        block = queries.select(np.arange(start, min(start + 64, len(queries))))
        full = maxsim(block, documents)
        positions, scores = maxsim_topk(block, codes, K)
        for row, found, values in zip(full, positions, scores, strict=True):
            expected = top_positions(row, order, K)
            same += np.array_equal(found, expected) and np.array_equal(values, row[expected])
    return {"documents": len(documents), "tokens": documents.n_tokens, "queries": len(queries), "identical": same}


def peak() -> dict[str, float]:
    """What the machine can do at most: float32 products from the cache, and bytes from memory."""
    from engine.maxsim.cpu import score_float32
    from engine.simd import choice, kernels, threads

    rng = np.random.default_rng(0)
    dim, columns, rows = 96, 32, 120
    values = rng.standard_normal(dim * rows).astype(np.float32)
    panels = kernels.query_panels(rng.standard_normal((columns, dim)).astype(np.float32), 1, choice.chosen())
    offsets = np.array([0, rows])
    chosen, scores, spans = np.zeros(4000, np.int64), np.empty((1, 4000), np.float32), np.array([0, columns])
    count = threads.thread_count()

    def work(k: int) -> None:
        score_float32(values, offsets, chosen, 0, 4000, dim, panels, spans, scores.copy())

    arithmetic = timed(lambda: threads.run_parts(work, count), 5)
    flop = 2 * 4000 * rows * dim * columns * count
    large = np.ones(1 << 26, np.float32)
    memory = timed(lambda: threads.run_parts(lambda k: large.max() and None, 1), 5)["wall_ms"]
    return {
        "gflops": flop / arithmetic["wall_ms"] / 1e6,
        "gflops_a_processor_second": flop / arithmetic["processor_ms"] / 1e6,
        "gigabytes_a_second_one_thread": large.nbytes / memory / 1e6,
    }


def scale(tokens: int) -> dict[str, float]:
    """Time of one query of 32 tokens, and memory above the documents."""
    rng = np.random.default_rng(0)
    values = np.empty((tokens, 96), np.float16)
    for start in range(0, tokens, 65536):  # block by block, or the peak of making them would hide that of scoring
        block = values[start : start + 65536]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    offsets = np.append(np.arange(0, tokens, 170), tokens).astype(np.int64)
    documents = TokenEmbeddings(values, offsets)
    query = TokenEmbeddings(rng.standard_normal((32, 96)).astype(np.float32), np.array([0, 32]))
    maxsim(query, documents.select([0]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    maxsim(query, documents)
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = timed(lambda: maxsim(query, documents), 3)
    codes = QuantizedDocuments.build(documents)
    proven = timed(lambda: maxsim_topk(query, codes, K), 3)
    return {
        "tokens": tokens,
        "maxsim_ms": row["wall_ms"],
        "maxsim_processor_ms": row["processor_ms"],
        "gflops": 2 * tokens * 96 * 32 / row["wall_ms"] / 1e6,
        "gflops_a_processor_second": 2 * tokens * 96 * 32 / row["processor_ms"] / 1e6,
        "maxsim_topk_ms": proven["wall_ms"],
        "maxsim_topk_processor_ms": proven["processor_ms"],
        "extra_memory_mb": extra,
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--queries", type=int, default=32, help="queries of the small set, evenly spaced")
    parser.add_argument("--parts", nargs="+", choices=["speed", "scale"], default=["speed", "scale"])
    parser.add_argument("--scale", type=int, help="only the row of the scale table for so many tokens")
    parser.add_argument("--identical", nargs="*", choices=ALL, help="only compare top k with the full computation")
    options = parser.parse_args()
    if options.scale:
        print(json.dumps(scale(options.scale)))
        return
    if options.identical is not None:
        found = {name: identical(name) for name in options.identical or ALL}
        save("maxsim-identical", {"machine": describe(), "k": K, "collections": found})
        return
    path = RESULTS / "maxsim.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record["machine"] = describe()
    if "speed" in options.parts:
        record["speed"] = speed(small_set(), options.queries, options.repeats)
        save("maxsim", record)
    if "scale" in options.parts:
        record["peak"], record["scale"] = peak(), []
        for tokens in (10**5, 10**6, 10**7):  # a process each, so that memory is that of one size
            command = [sys.executable, "-m", "benchmarks.bench_maxsim", "--scale", str(tokens)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for name in ("gflops", "gflops_a_processor_second"):
                row[f"of_peak_{name}"] = row[name] / record["peak"][name]
            record["scale"].append(row)
        save("maxsim", record)


if __name__ == "__main__":
    main()
