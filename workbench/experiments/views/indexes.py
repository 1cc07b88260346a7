"""Records of a comparison of indexes: what was measured, as rows of a table, and what changed between two of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError, NotFoundError
from engine.indexes import index_class
from engine.storage import replace_text

MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class IndexRecord:
    """What one index costs and what it finds, on vectors that every index of the comparison shares.

    Args:
        kind: Of index.
        point: "as given", or "matched": with the fastest search settings tried that reach `target`.
        settings: All of them, defaults too.
        collection: Its name.
        documents: How many.
        tokens: Vectors in the index.
        dim: Dimension of a vector.
        queries: How many were asked.
        k: Results a query.
        target: Share of the exact results (the first k, at most 100) that a matched point has to reach.
        recall_10: Share of the ten best documents of exact MaxSim that are among its first ten (or the
            first k, when k is less); None if it failed.
        recall_100: The same of the first hundred (or the first k, when k is less).
        metrics: Metric against judgements -> mean, such as "ndcg@10"; empty without judgements.
        per_query: Metric -> {query: value}.
        latencies_ms: Wall milliseconds of single queries, of the first 100.
        queries_per_second: With the others handed over at once (with the first 64 where fewer are left).
        build_seconds: Of adding all documents to an empty index.
        peak_memory_bytes: How far building and searching raised the resident memory of the index's own process; files
            that are mapped into memory count when they were read.
        bytes: Of all files of the index.
        can: What it promises.
        cannot: What it does not.
        versions: Package -> version.
        machine: Processor, cores, memory.
        threads: How many each library was told to use.
        dependency_defaults: Defaults of the library below, by name.
        command: Repeats the measurement; empty for vectors that only exist in memory.
        notes: What searches did beyond the settings, and what was left out.
        error: Why nothing was measured, or empty.
    """

    kind: str
    point: str
    settings: dict[str, Any]
    collection: str
    documents: int
    tokens: int
    dim: int
    queries: int
    k: int
    target: float
    recall_10: float | None = None
    recall_100: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    per_query: dict[str, dict[str, float]] = field(default_factory=dict)
    latencies_ms: tuple[float, ...] = ()
    queries_per_second: float | None = None
    build_seconds: float | None = None
    peak_memory_bytes: int | None = None
    bytes: int | None = None
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    threads: int = 0
    dependency_defaults: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """Kind, and whether the point is at matched recall."""
        return self.kind if self.point == "as given" else f"{self.kind}, matched"

    @property
    def p50_ms(self) -> float | None:
        """Median milliseconds of a single query."""
        return self._percentile(50)

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile."""
        return self._percentile(95)

    @property
    def p99_ms(self) -> float | None:
        """The 99th percentile."""
        return self._percentile(99)

    def _percentile(self, share: float) -> float | None:
        return float(np.percentile(self.latencies_ms, share)) if self.latencies_ms else None

    @property
    def bytes_per_token(self) -> float | None:
        """Bytes of all files over vectors."""
        return self.bytes / self.tokens if self.bytes is not None and self.tokens else None

    @property
    def at_a_million(self) -> dict[str, float]:
        """Estimated cost of a million documents of this length: bytes and build seconds in proportion to documents.

        Latency is given for exact search only, where it is in proportion too; for the others it depends on lists and
        graphs that grow with the collection.
        """
        if self.bytes is None or self.build_seconds is None or not self.documents:
            return {}
        scale = MILLION / self.documents
        estimate = {"bytes": self.bytes * scale, "build_seconds": self.build_seconds * scale}
        if self.kind == "exact" and self.p50_ms is not None:
            estimate["p50_ms"] = self.p50_ms * scale
        return estimate

    def row(self) -> dict[str, Any]:
        """The record as one row of a table: plain numbers, None where nothing was measured."""
        million = self.at_a_million
        return {
            "index": self.name,
            "R@10": self.recall_10,
            "R@100": self.recall_100,
            **self.metrics,
            "p50 ms": self.p50_ms,
            "p95 ms": self.p95_ms,
            "p99 ms": self.p99_ms,
            "queries/s": self.queries_per_second,
            "build s": self.build_seconds,
            "memory MB": None if self.peak_memory_bytes is None else self.peak_memory_bytes / 1e6,
            "bytes/token": self.bytes_per_token,
            "GB at 1 M documents": million["bytes"] / 1e9 if million else None,
            "build h at 1 M documents": million["build_seconds"] / 3600 if million else None,
            "settings": format_spec(self.kind, self.settings),
            "notes": "; ".join([*self.notes, *([self.error] if self.error else [])]),
        }


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read an index and its settings from one word.

    Args:
        text: Such as "plaid" or "hnsw:neighbours=100,storage=float8".

    Returns:
        The kind, and its settings.

    Raises:
        InputError: an unknown kind, or a setting without a value.
    """
    kind, _, rest = text.partition(":")
    index_class(kind)
    settings = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"Expected name=value after {kind!r}, got {part!r}: write {kind}:name=value,name=value.")
        try:
            settings[name.strip()] = json.loads(value)
        except ValueError:
            settings[name.strip()] = value.strip()
    return kind, settings


def format_spec(kind: str, settings: Mapping[str, Any]) -> str:
    """Write an index and its settings as `parse_spec` reads them."""
    parts = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items())
    return ":".join(filter(None, [kind, ",".join(parts)]))


def changed_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults of a kind."""
    defaults = asdict(index_class(kind).settings_class())
    return {name: value for name, value in settings.items() if defaults.get(name) != value}


def command_for(
    collection: str, model: str, indexes: Sequence[tuple[str, Mapping[str, Any]]], options: Mapping[str, Any]
) -> str:
    """The command line that repeats a comparison."""
    words = ["workbench", "compare-indexes", "--collection", collection, "--model", model]
    for kind, settings in indexes:
        words += ["--index", format_spec(kind, settings)]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return shlex.join(words)


def differences(before: IndexRecord, after: IndexRecord) -> list[str]:
    """What may explain that two records of one kind differ: settings, versions, and defaults of the library below.

    Args:
        before: A record.
        after: Another of the same kind.

    Returns:
        One sentence a difference.
    """
    found = []
    pairs = (
        ("Number of", _counts(before), _counts(after)),
        ("Setting", before.settings, after.settings),
        ("Version of", before.versions, after.versions),
        ("Default", before.dependency_defaults, after.dependency_defaults),
        ("Machine:", before.machine, after.machine),
    )
    for label, old, new in pairs:
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append(f"{label} {name} changed from {old.get(name)!r} to {new.get(name)!r}.")
    return found


def _counts(record: IndexRecord) -> dict[str, int]:
    names = ("documents", "tokens", "dim", "queries", "k", "threads")
    return {name: getattr(record, name) for name in names}


def write_records(records: Sequence[IndexRecord], path: str | Path) -> Path:
    """Write records as JSON, for `read_records`."""
    replace_text(Path(path), json.dumps([asdict(record) for record in records], indent=1, ensure_ascii=False) + "\n")
    return Path(path)


def read_records(path: str | Path) -> list[IndexRecord]:
    """Read what `write_records` or `workbench compare-indexes --output` wrote.

    Raises:
        NotFoundError: there is no such file.
        InputError: it holds no records, or those of another version.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        tuples = ("latencies_ms", "can", "cannot", "notes")
        return [IndexRecord(**row | {name: tuple(row[name]) for name in tuples}) for row in rows]
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}: give one that compare-indexes --output wrote.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} holds no comparison of indexes ({error}): write it with --output.") from None


def changes(before: Sequence[IndexRecord], after: Sequence[IndexRecord]) -> list[str]:
    """What may explain that numbers of two comparisons differ, index by index; nothing where nothing changed."""
    earlier = {record.name: record for record in before}
    found = []
    for record in after:
        if record.name in earlier:
            found += [f"{record.name}: {line}" for line in differences(earlier[record.name], record)]
    return found
