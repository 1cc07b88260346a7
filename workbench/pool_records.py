"""Records of the pool-factor study, and the folder that keeps them so that none is measured twice."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.statistics import Interval
from engine.storage import replace_text


@dataclass(frozen=True, eq=False)
class PoolRecord:
    """What one pool factor gives.

    Args:
        collection: Its name.
        method: How tokens are merged.
        factor: Tokens per remaining token; infinity keeps one, and the protected ones.
        index: Kind of index.
        bits: Bits a dimension in the index.
        documents: How many.
        queries: How many have judgements.
        tokens: Vectors in the index.
        tokens_full: Vectors at factor 1.
        bytes: Of the files of the index that a search reads.
        pool_s: Seconds of pooling.
        build_s: Seconds of building the index.
        latencies: Milliseconds of single questions, at most 50 of them.
        mean: Metric -> value.
        interval: Metric -> (low, high), 95% bootstrap over questions.
        per_query: Metric -> {query: value}.
        difference: First metric minus that of factor 1, paired by question: mean, low, high.
        better: Questions that gained more than the threshold, largest gain first.
        worse: Questions that lost more than the threshold, largest loss first.
        rankings: Query -> its first ten documents.
    """

    collection: str
    method: str
    factor: float
    index: str
    bits: int
    documents: int
    queries: int
    tokens: int
    tokens_full: int
    bytes: int
    pool_s: float
    build_s: float
    latencies: tuple[float, ...]
    mean: dict[str, float]
    interval: dict[str, tuple[float, float]]
    per_query: dict[str, dict[str, float]]
    difference: Interval
    better: tuple[str, ...]
    worse: tuple[str, ...]
    rankings: dict[str, tuple[str, ...]]

    @property
    def label(self) -> str:
        """The factor in words: "4", "1.5", "one"."""
        return "one" if math.isinf(self.factor) else f"{self.factor:g}"

    @property
    def kept(self) -> float:
        """Share of the vectors that remain."""
        return self.tokens / self.tokens_full

    @property
    def latency_ms(self) -> float:
        """Median milliseconds a question."""
        return float(np.median(self.latencies))

    @property
    def real(self) -> bool:
        """Whether the difference to factor 1 is more than the noise of the questions: its interval excludes zero."""
        return self.difference.excludes_zero


def save_records(records: Sequence[PoolRecord], path: str | Path) -> Path:
    """Write records as JSON, an infinite factor as "inf".

    Args:
        records: Any.
        path: The file.

    Returns:
        The path.
    """
    replace_text(Path(path), _text(records))
    return Path(path)


def _text(records: Sequence[PoolRecord]) -> str:
    return json.dumps([asdict(r) | {"factor": "inf" if math.isinf(r.factor) else r.factor} for r in records])


def load_records(path: str | Path) -> list[PoolRecord]:
    """Read what `save_records` wrote.

    Raises:
        InputError: it is no such file.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        return [_record(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no records of a pool study ({error}): write it with save_records.") from None


def _record(row: dict[str, Any]) -> PoolRecord:
    return PoolRecord(**row | {
        "factor": math.inf if row["factor"] == "inf" else row["factor"],
        "latencies": tuple(row["latencies"]),
        "interval": {metric: tuple(ends) for metric, ends in row["interval"].items()},
        "difference": Interval(*row["difference"]),
        "better": tuple(row["better"]),
        "worse": tuple(row["worse"]),
        "rankings": {query: tuple(ids) for query, ids in row["rankings"].items()},
    })  # fmt: skip


class PoolStore:
    """A folder with a file a record: a study that was stopped goes on where it stopped.

    Args:
        folder: Of one collection, one model and one set of questions and judgements: its name must say so.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reused = 0

    def get(self, *key: object) -> PoolRecord | None:
        """The record under a key, or None; one that cannot be read is measured again."""
        try:
            found = load_records(self._path(key))
        except InputError:
            return None
        self.reused += 1
        return found[0]

    def clear(self) -> None:
        """Forget all records."""
        for path in self.folder.glob("*.json"):
            path.unlink()

    def put(self, record: PoolRecord, *key: object) -> None:
        """Keep a record under a key."""
        replace_text(self._path(key), _text([record]))

    def _path(self, key: tuple[object, ...]) -> Path:
        from workbench.cache import content_key

        return self.folder / f"{content_key(*map(str, key))}.json"
