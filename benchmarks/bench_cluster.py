"""Shards and Ray on one machine: what they cost beside the same work without them.

`python -m benchmarks.bench_cluster measure [--documents 4000] [--texts 6000]` encodes with and without Ray, searches
one index, four shards in this process, in processes and in Ray's actors, interleaved, and writes results/cluster.json.
`python -m benchmarks.bench_cluster tables` writes the tables of docs/cluster.md, that of `workbench plan` too, whose
parts `python -m benchmarks.plan_parts` gathers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from engine import Encoder, TokenEmbeddings, create_index, load_collection
from engine.encoding import CHUNK_TEXTS, chunks_of
from workbench.capacity import Wanted, assumptions, plan
from workbench.cluster.connect import connected
from workbench.cluster.work import Cluster

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cluster.md"
SHARDS, K, DIM = 4, 10, 128
TURNS = 3  # of encoding, without Ray and with it
ROUNDS = 5  # of the queries, each place in turn
CALLS = 200
BEGIN, END = "<!-- {name}: generated, do not edit -->", "<!-- end of {name} -->"


def texts_of(count: int) -> list[str]:
    """Texts of the embedded collection, repeated with a number in front until there are enough."""
    own = list(load_collection("embedded").documents.values())
    return [f"{i // len(own)} {own[i % len(own)]}" if i >= len(own) else own[i] for i in range(count)]


def drawn(documents: int, rng: np.random.Generator) -> tuple[TokenEmbeddings, TokenEmbeddings]:
    """Vectors of documents and of queries around directions that texts share, so that centroids mean something."""
    topics = rng.standard_normal((512, DIM)).astype(np.float32)

    def around(lengths: np.ndarray) -> TokenEmbeddings:
        values = topics[rng.integers(0, len(topics), lengths.sum())]
        values = values + 0.7 * rng.standard_normal(values.shape).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        return TokenEmbeddings(values.astype(np.float16), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    return around(rng.integers(40, 121, documents)), around(rng.integers(20, 33, 50))


def encoding(cluster: Cluster, texts: list[str]) -> dict[str, Any]:
    """Seconds to encode the same texts without Ray and with it in turns, and whether the bits are the same.

    The seconds behind the first chunk leave out what is paid once: actors that start and load the model.
    """
    encoder = Encoder.load("embedded")
    spread: Any = cluster.encoder(encoder)
    encoder.encode_document(texts[:64])
    whole: dict[str, list[float]] = {"plain": [], "ray": []}
    behind: dict[str, list[float]] = {"plain": [], "ray": []}
    made = {}
    for _ in range(TURNS):
        for name, encode in (("plain", encoder.encode_document), ("ray", spread.encode_document)):
            told: list[tuple[int, float]] = []
            start = time.perf_counter()
            made[name] = encode(texts, lambda done, total, told=told: told.append((done, time.perf_counter())))
            whole[name].append(time.perf_counter() - start)
            behind[name].append(told[-1][1] - next(at for done, at in told if done >= CHUNK_TEXTS))
    plain, shared = made["plain"], made["ray"]
    same = np.array_equal(plain.values, shared.values) and np.array_equal(plain.offsets, shared.offsets)
    return {"texts": len(texts), "tokens": plain.n_tokens, "units": len(list(chunks_of(encoder, texts, "document"))),
            "dtype": encoder.dtype, "turns": TURNS, "same_bits": bool(same),
            "seconds": {name: float(np.median(times)) for name, times in whole.items()},
            "seconds_behind": {name: float(np.median(times)) for name, times in behind.items()},
            "slower": _ratio(whole["ray"], whole["plain"]),
            "slower_behind": _ratio(behind["ray"], behind["plain"])}  # fmt: skip


def _ratio(times: list[float], others: list[float]) -> float:
    """Median of the ratios, turn by turn."""
    return float(np.median(np.array(times) / np.array(others)))


def alone(index: Any, query: TokenEmbeddings) -> tuple[float, float]:
    """Milliseconds of the slowest shard asked by itself where it lies, and of the slowest actor with all of its own."""

    def asked(shards: list[int]) -> float:
        start = time.perf_counter()
        index.held.ask_each("search", [(shard, (query, K, None)) for shard in shards], index._tuning())
        return (time.perf_counter() - start) * 1e3

    names = index.state.manifest.record["folders"]
    own = [[i for i, name in enumerate(names) if index.path.absolute() / name in place] for place in index.host._places]
    return max(asked([i]) for i in range(SHARDS)), max(asked(shards) for shards in own if shards)


def searching(cluster: Cluster, documents: int) -> dict[str, Any]:
    """Times of a query on one index and on four shards at each place, interleaved query by query."""
    vectors, queries = drawn(documents, np.random.default_rng(0))
    ids = [str(i) for i in range(documents)]
    with tempfile.TemporaryDirectory() as name:
        one = create_index("plaid", Path(name) / "one")
        one.add(ids, vectors)
        here = create_index("sharded", Path(name) / "shards", of="plaid", shards=SHARDS)
        here.add(ids, vectors)
        shard = create_index("plaid", Path(name) / "shard")
        part = np.flatnonzero(here.shard == 0)  # type: ignore[attr-defined]
        shard.add([ids[i] for i in part], vectors.select(part))
        there: Any = cluster.index(here)
        places = {"one index": one, "one shard alone": shard, "4 shards, this process": here,
                  "4 shards, 2 processes": here.tuned(processes=2), "4 shards, Ray": there}  # fmt: skip
        times: dict[str, list[float]] = {place: [] for place in places}
        single, actor = [], []
        answers: dict[str, list[Any]] = {place: [] for place in places}
        for turn in range(ROUNDS + 1):
            for number in range(len(queries)):
                query = queries[number : number + 1]
                for place, index in places.items():
                    start = time.perf_counter()
                    found = index.search(query, K)[0]
                    if turn:  # the first warms up
                        times[place].append((time.perf_counter() - start) * 1e3)
                        answers[place].append((found.ids, found.scores.tolist()))
                if turn:
                    for found, took in zip((single, actor), alone(there, query), strict=True):
                        found.append(took)
        sharded = [place for place in places if place.startswith("4")]
        assert all(answers[place] == answers[sharded[0]] for place in sharded)
        rows = {
            place: {"p50_ms": float(np.median(v)), "p95_ms": float(np.percentile(v, 95))} for place, v in times.items()
        }
        return {"documents": documents, "tokens": vectors.n_tokens, "dim": DIM, "queries": len(queries),
                "places": rows, "processors": len(there.host._places),
                "slowest_ms": float(np.median(single)), "ray_to_slowest": _ratio(times["4 shards, Ray"], single),
                "actor_ms": float(np.median(actor)), "ray_to_actor": _ratio(times["4 shards, Ray"], actor),
                "shard_tokens": shard.describe()["tokens"], "latencies_ms": times["one shard alone"]}  # fmt: skip


def calls(cluster: Cluster) -> float:
    """Median milliseconds to call an actor that does nothing."""
    ray = cluster.ray

    class Nothing:
        def answer(self) -> None:
            return None

    actor = ray.remote(num_cpus=0)(Nothing).remote()
    ray.get(actor.answer.remote())
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        ray.get(actor.answer.remote())
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def measure(documents: int, texts: int) -> None:
    """Measure all, and write the record."""
    with connected() as cluster:
        record = {"machine": machine.describe(), "encoding": encoding(cluster, texts_of(texts)),
                  "search": searching(cluster, documents), "call_ms": calls(cluster)}  # fmt: skip
    machine.save("cluster", record)


def tables() -> dict[str, str]:
    """The tables of the page, by name; those of a record that is not there are left as they are."""
    found, path = {"plan": planned()}, machine.RESULTS / "cluster.json"
    return found | measured_tables(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else found


def measured_tables(record: dict[str, Any]) -> dict[str, str]:
    """What encoding and searching cost."""
    encoded, searched = record["encoding"], record["search"]
    seconds, behind = encoded["seconds"], encoded["seconds_behind"]
    lines = ["| | seconds in all | seconds behind the first 1,024 texts |", "| --- | --- | --- |",
             f"| without Ray | {seconds['plain']:.1f} | {behind['plain']:.1f} |",
             f"| with Ray | {seconds['ray']:.1f} | {behind['ray']:.1f} |",
             f"| times as long; goal 1.10 | {encoded['slower']:.2f} | {encoded['slower_behind']:.2f} |", "",
             f"{encoded['texts']:,} texts, {encoded['tokens']:,} vectors, {encoded['dtype']}, medians of "
             f"{encoded['turns']} turns; the bits are {'the same' if encoded['same_bits'] else 'NOT the same'}. "
             "What is paid once, actors that start and load the model, lies in the first column alone."]  # fmt: skip
    rows = ["| | p50 ms | p95 ms |", "| --- | --- | --- |"]
    rows += [f"| {place} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} |" for place, row in searched["places"].items()]
    rows += [f"| slowest shard alone, Ray | {searched['slowest_ms']:.2f} | |",
             f"| slowest actor alone, Ray | {searched['actor_ms']:.2f} | |", "",
             f"{searched['documents']:,} documents of {searched['tokens']:,} drawn vectors, {searched['dim']} "
             f"dimensions, {searched['queries']} queries, {K} results. A call of an actor that does nothing takes "
             f"{record['call_ms']:.2f} ms. A search with Ray takes {searched['ray_to_slowest']:.2f} times its slowest "
             f"shard (goal 1.50) and {searched['ray_to_actor']:.2f} times its slowest actor: {SHARDS} shards share "
             f"{searched['processors']} processors here, and an actor searches its shards one after the other, so the "
             "second is what a machine with a processor a shard would see."]  # fmt: skip
    return {"encoding": "\n".join(lines), "search": "\n".join(rows)}


def planned() -> str:
    """What ten million to a billion documents need."""
    plans = ["| documents | machines | shards | million vectors a shard | index, GB | a query, ms: p50 / p95 / p99 | "
             "hours to encode | hours to build |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for size in (1e7, 1e8, 1e9):
        found = plan(Wanted(size))
        plans.append(
            f"| {size:,.0f} | {found.nodes:,} | {found.shards:,} | {found.shard_tokens / 1e6:,.1f} | "
            f"{found.index_bytes / 1e9:,.0f} | {' / '.join(f'{v:.1f}' for v in found.query_ms.values())} | "
            f"{found.encode_hours:,.0f} | {found.build_hours:,.2f} |"
        )
    plans += ["", *(f"- {sentence}" for sentence in assumptions())]
    return "\n".join(plans)


def write(page: Path, found: dict[str, str]) -> None:
    """Replace what lies between the markers of a page."""
    text = page.read_text(encoding="utf-8")
    for name, table in found.items():
        begin, end = BEGIN.format(name=name), END.format(name=name)
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n\n{table}\n\n{end}{rest.split(end, 1)[1]}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "tables"))
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--texts", type=int, default=6000, help=f"More than {CHUNK_TEXTS}, which are one unit.")
    given = parser.parse_args()
    steps: dict[str, Callable[[], Any]] = {
        "measure": lambda: measure(given.documents, given.texts),
        "tables": lambda: write(PAGE, tables()),
    }
    steps[given.what]()


if __name__ == "__main__":
    main()
