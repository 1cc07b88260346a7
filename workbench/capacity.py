"""What a large collection will need, on paper: machines, memory, disk, time of a query and of a build."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.indexes.plaid.settings import BITS

MEASURED = Path(__file__).with_name("measured.json")  # `python -m benchmarks.plan_parts` writes it
DRAWS = 20_000  # queries of the simulation
TAIL = 0.1  # share of the measured times that decides how the slowest go on
GROWTH = (
    1.5  # exponent of a build's time, where only one size was measured: tokens times centroids, which are sqrt(tokens)
)
THREADS = 2  # of one shard's search and build: what the parts were measured with
MOST = 1e18  # of anything: what is in proportion to several of them stays a number
KEPT_FREE = 0.3  # of a machine's memory, for the system, the model and results


@dataclass(frozen=True)
class Wanted:
    """What is to be searched, and on what.

    Args:
        documents: How many.
        tokens: Vectors a document, after pooling.
        dim: Dimensions of a vector.
        bits: Bits a dimension that PLAID stores.
        nodes: Machines; 0 takes as few as hold the index in memory.
        memory: Bytes of memory of a machine.
        cores: Processors of a machine; a shard that has only one takes twice as long.
        rate: Tokens a second that one machine encodes; 0 takes the measured rate of a processor.
    """

    documents: float
    tokens: float = 80.0
    dim: int = 128
    bits: int = 4
    nodes: int = 0
    memory: float = 64e9
    cores: int = 16
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("documents", "tokens", "memory", "dim", "bits", "cores"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise InputError(f"Expected {name} of 1 or more, got {value:g}: correct it.")
        for name in ("nodes", "rate", "documents", "tokens", "memory", "dim", "cores"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"Expected {name} of 0 or more, got {getattr(self, name):g}: 0 decides by itself.")
            if getattr(self, name) > MOST:
                raise InputError(f"Expected {name} of at most {MOST:g}, got {getattr(self, name):g}: lower it.")
        if self.bits not in BITS:
            raise InputError(
                f"Expected bits among {', '.join(map(str, BITS))}, got {self.bits}: 16 stores the vectors themselves."
            )


@dataclass(frozen=True)
class Plan:
    """What it needs.

    Args:
        wanted: What was asked.
        vectors: Token vectors in all.
        nodes: Machines.
        shards: In all; each is searched by two processors.
        shard_tokens: Vectors of a shard.
        index_bytes: Of all shards on disk.
        build_disk_bytes: Index and the vectors that it is built from, in float16.
        node_memory_bytes: That one machine needs for its shards to be searched from memory.
        fits: Whether a machine has as much.
        query_ms: p50, p95 and p99 of a query, which waits for its slowest shard.
        shard_ms: Median of one shard alone.
        encode_hours: Of encoding all documents on these machines.
        build_hours: Of building all shards on these machines.
    """

    wanted: Wanted
    vectors: float
    nodes: int
    shards: int
    shard_tokens: float
    index_bytes: float
    build_disk_bytes: float
    node_memory_bytes: float
    fits: bool
    query_ms: dict[str, float]
    shard_ms: float
    encode_hours: float
    build_hours: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


@lru_cache
def measured() -> dict[str, Any]:
    """The measured parts, each with the record that it comes from."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def plan(wanted: Wanted, parts: Mapping[str, Any] | None = None) -> Plan:
    """Put the measured parts together.

    Args:
        wanted: What is to be searched.
        parts: The measured parts; those of this project when None.

    Returns:
        The plan; `assumptions` says what it takes for granted.
    """
    known = parts or measured()
    vectors = wanted.documents * wanted.tokens
    index_bytes = vectors * bytes_per_token(wanted.dim, wanted.bits, known)
    memory = index_bytes * known["memory_by_index"]["value"]
    usable = wanted.memory * (1 - KEPT_FREE)
    nodes = wanted.nodes or max(1, math.ceil(memory / usable))
    shards = min(nodes * max(1, wanted.cores // THREADS), math.ceil(wanted.documents))  # none is empty
    shard_tokens, slower = vectors / shards, THREADS / min(THREADS, wanted.cores)
    shard_ms = slower * search_ms(shard_tokens, known)
    relative = np.array(known["latencies_ms"]["values"]) / np.median(known["latencies_ms"]["values"])
    slowest = slowest_of(relative * shard_ms, shards) + known.get("call_ms", {"value": 0.0})["value"]
    rate = wanted.rate or known["encode"]["tokens_a_second"] / known["encode"]["threads"] * wanted.cores
    return Plan(
        wanted, vectors, nodes, shards, shard_tokens, index_bytes, index_bytes + 2 * wanted.dim * vectors,
        memory / nodes, memory / nodes <= usable,
        {f"p{p}": float(np.percentile(slowest, p)) for p in (50, 95, 99)}, shard_ms,
        vectors / (rate * nodes) / 3600, slower * build_seconds(shard_tokens, known) / 3600,
    )  # fmt: skip


def slowest_of(latencies: np.ndarray, shards: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Simulate queries that wait for the slowest of several shards.

    Each shard of a query takes one of the measured times, independently of the others (Dean and Barroso, 2013, The Tail
    at Scale). The slowest of n draws is the time at the quantile u to the power 1/n, u uniform: one draw a query,
    however many shards there are. Many shards ask for quantiles that nobody measured, so the slowest tenth goes on as
    an exponential tail with its own mean excess (peaks over a threshold; Pickands, 1975).

    Args:
        latencies: float [n], measured times of one shard, in any unit.
        shards: How many each query waits for.
        draws: Queries.
        seed: Of the draws.

    Returns:
        float [draws], in the same unit.
    """
    ordered, begins = np.sort(latencies), np.quantile(latencies, 1 - TAIL)
    above = ordered[ordered > begins]
    mean = float((above - begins).mean()) if len(above) else 0.0
    beyond = -np.expm1(np.log1p(-np.random.default_rng(seed).random(draws)) / shards)  # share of slower times
    measured = ordered[np.minimum(((1 - beyond) * len(ordered)).astype(np.int64), len(ordered) - 1)]
    return np.where(beyond < TAIL, begins + mean * np.log(TAIL / np.maximum(beyond, 1e-300)), measured)


def bytes_per_token(dim: int, bits: int, parts: Mapping[str, Any]) -> float:
    """Bytes a vector takes in PLAID: the residual of so many bits, and what was measured beside it."""
    known = parts["bytes"]
    beside = known["bytes_per_token"] - _residual(known["dim"], known["bits"])
    return _residual(dim, bits) + max(beside, 0.0)


def _residual(dim: int, bits: int) -> float:
    """Bytes of a residual with the default settings: half of the dimensions have one bit more, at 1, 2 and 4 bits."""
    return (dim * bits + (dim // 2 // 8 * 8 if bits in (1, 2, 4) else 0)) / 8


def search_ms(tokens: float, parts: Mapping[str, Any]) -> float:
    """Median milliseconds of a query on one shard: a + b sqrt(tokens), least squares through the measured sizes.

    A search of PLAID scores all centroids, which are in proportion to the square root of the tokens, and looks at a
    bounded number of documents.
    """
    sizes = parts["search"]
    roots = np.sqrt([entry["tokens"] for entry in sizes])
    slope, level = np.polyfit(roots, [entry["p50_ms"] for entry in sizes], 1) if len(sizes) > 1 else (0.0, 0.0)
    return float(max(level + slope * math.sqrt(tokens), min(entry["p50_ms"] for entry in sizes) / 2))


def build_seconds(tokens: float, parts: Mapping[str, Any]) -> float:
    """Seconds to build one shard with two threads: a power of its tokens through the measured sizes."""
    sizes = sorted(parts["build"], key=lambda entry: entry["tokens"])
    largest, growth = sizes[-1], build_growth(parts)
    return largest["seconds"] * (tokens / largest["tokens"]) ** growth


def build_growth(parts: Mapping[str, Any]) -> float:
    """The exponent of a build's time: measured where there are two sizes."""
    sizes: Sequence[Mapping[str, float]] = parts["build"]
    if len(sizes) < 2:
        return GROWTH
    tokens, seconds = (np.log([entry[name] for entry in sizes]) for name in ("tokens", "seconds"))
    return float(max(np.polyfit(tokens, seconds, 1)[0], 1.0))


def assumptions() -> list[str]:
    """What every plan takes for granted, one sentence each, with the records that the numbers come from."""
    known = measured()
    sizes = ", ".join(f"{entry['p50_ms']:.2f} ms at {entry['tokens'] / 1e6:.2f} million" for entry in known["search"])
    builds = ", ".join(f"{entry['seconds']:.0f} s for {entry['tokens'] / 1e6:.2f} million" for entry in known["build"])
    stored, encoding, times = known["bytes"], known["encode"], known["latencies_ms"]
    return [
        f"PLAID takes {stored['bytes_per_token']:.1f} bytes a vector at {stored['dim']} dimensions and "
        f"{stored['bits']} bits ({stored['source']}); another dimension or number of bits changes the residual alone.",
        f"Shards are searched from memory, {known['memory_by_index']['value']:.2f} times their bytes "
        f"({known['memory_by_index']['source']}); {KEPT_FREE:.0%} of a machine's memory stay free for the rest.",
        f"Each shard has {THREADS} processors. Its median grows with the square root of its vectors: {sizes} "
        f"({_sources(known['search'])}); a shard larger than these is an extrapolation.",
        f"A query waits for its slowest shard: {DRAWS:,} queries are drawn from {len(times['values'])} measured times "
        f"of one shard ({times['source']}), every shard independently; the slowest {TAIL:.0%} of them go on as an "
        f"exponential tail{_call(known)}. The network and the encoding of the question are not in it.",
        f"A build takes time in proportion to vectors to the power of {build_growth(known):.2f}: {builds} "
        f"({_sources(known['build'])}); all shards are built at once.",
        f"Encoding runs at {encoding['tokens_a_second'] / encoding['threads']:,.0f} tokens a second and processor "
        f"({encoding['dtype']}, {encoding['source']}); --rate says what your machines do, which a GPU changes most.",
    ]


def _call(parts: Mapping[str, Any]) -> str:
    if "call_ms" not in parts:
        return ""
    return f", and {parts['call_ms']['value']:.1f} ms are added for the call of an actor ({parts['call_ms']['source']})"


def _sources(entries: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(entry["source"]) for entry in entries))
