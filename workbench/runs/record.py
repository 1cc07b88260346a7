"""Run: one finished, running or interrupted experiment, read from its folder."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson

from engine import storage
from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.metrics import same_metric
from engine.retrieval import Ranking
from engine.statistics import Interval
from workbench.experiments.experiment import Experiment
from workbench.runs.schema import check_record

if TYPE_CHECKING:
    import pandas

FORMAT = 1
EXACT = "exact@"  # begins the metrics that need no judgements: the share of the first results of exact search
CHECKSUM = "crc32"  # in run.json: of everything else in it; one that names its "files" has it
RECORD, SCORES, RANKINGS = "run.json", "scores.parquet", "rankings.parquet"
Status = Literal["complete", "running", "interrupted", "unreadable"]


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Args:
        id: Its name.
        path: Its folder.
        status: "complete"; "running" in a live process; "interrupted", to be run again or deleted; "unreadable".
        record: The contents of run.json.
        problem: Why it is unreadable, in a sentence.
        reused: Whether `run` found it instead of computing it.
    """

    id: str
    path: Path
    status: Status
    record: dict[str, Any]
    problem: str = ""
    reused: bool = False

    @cached_property
    def experiment(self) -> Experiment:
        """What was run."""
        return Experiment.from_dict(self.record["experiment"])

    @property
    def name(self) -> str:
        """A short name: what a person chose, or the settings that differ from the defaults."""
        name = self.record.get("name") or short_name(self.record.get("experiment", {})) or self.id
        return f"{name}, made questions" if self.record.get("collection", {}).get("made") else name

    @property
    def created(self) -> str:
        """When it started, ISO 8601 in UTC."""
        return self.record.get("created", "")

    @property
    def mean(self) -> dict[str, float]:
        """Metric -> average over the judged queries."""
        return {metric: entry["mean"] for metric, entry in self.record.get("scores", {}).items()}

    @property
    def intervals(self) -> dict[str, Interval]:
        """Metric -> average with its 95% bootstrap interval over queries."""
        scores = self.record.get("scores", {})
        return {metric: Interval(entry["mean"], entry["low"], entry["high"]) for metric, entry in scores.items()}

    @property
    def warnings(self) -> list[str]:
        """What a reader of the numbers has to know."""
        return self.record.get("warnings", [])

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """Wall milliseconds of single queries, of the first 100."""
        return tuple(self.record.get("latency_ms", {}).get("each", ()))

    @property
    def stages(self) -> list[dict[str, Any]]:
        """Of a system: what each stage is, holds and takes; none for an index."""
        return self.record.get("system", {}).get("stages", [])

    @property
    def p50_ms(self) -> float:
        """Median milliseconds of a single query."""
        return self.record["latency_ms"]["p50"]

    @property
    def bytes(self) -> int | None:
        """Of the files of the index that a search reads; None where they are on another machine."""
        return self.record["sizes"]["bytes"]

    @property
    def tokens(self) -> int:
        """Vectors in the index."""
        return self.record["sizes"]["tokens"]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the index, defaults too."""
        return self.record["index"]["settings"]

    @property
    def build_seconds(self) -> float | None:
        """Seconds of pooling and building; None where an index was found and nobody knows any more."""
        costs = self.record.get("costs", {})
        known = [costs.get("pool_s"), costs.get("build_s")]
        return None if None in known else sum(known)

    def found_exact(self, depth: int) -> float:
        """Share of the best `depth` documents of exact search that were found, of as many as were searched for."""
        return self.mean[f"exact@{min(depth, self.record['depth'])}"]

    def check(self) -> None:
        """Read all that a finished run keeps, so that damage is found before the work that relies on it.

        Raises:
            CorruptDataError: a file of it is missing or damaged.
        """
        if self.status == "complete":
            self._table(SCORES)
            self.rankings()

    def per_query(self, metric: str) -> dict[str, float]:
        """Query id -> value.

        Raises:
            InputError: the run did not compute this metric; the sentence lists those it did.
        """
        known = same_metric(metric, self.mean) if self.status == "complete" else metric
        if known is None:
            raise InputError(f"Run {self.id} has no {metric!r}: it has {', '.join(self.mean) or 'no scores'}.")
        table = self._table(SCORES, [("metric", "=", known)])
        return dict(zip(table["query"].to_pylist(), table["value"].to_pylist(), strict=True))

    @property
    def judged_metrics(self) -> list[str]:
        """Metrics against judgements, without the shares of exact results."""
        return [metric for metric in self.mean if not metric.startswith(EXACT)]

    def rankings(self) -> dict[str, Ranking]:
        """Query id -> its ranking."""
        table = self._table(RANKINGS)
        queries, ids = table["query"].to_pylist(), table["document"].to_pylist()
        scores = table["score"].to_numpy()
        found = {query: Ranking([], np.empty(0, np.float32)) for query in self.record.get("empty", [])}
        start = 0
        for stop in range(1, len(queries) + 1):
            if stop == len(queries) or queries[stop] != queries[start]:
                found[queries[start]] = Ranking(ids[start:stop], scores[start:stop].astype(np.float32))
                start = stop
        return found

    def frame(self) -> pandas.DataFrame:
        """Every metric, query and value as a table."""
        return self._table(SCORES).to_pandas()

    def verify(self, *names: str) -> None:
        """Compare files of results with the checksums in the record; those of earlier versions have none.

        Args:
            names: File names, or none for all.

        Raises:
            CorruptDataError: a file is missing or differs from what was written.
        """
        expected = self.record.get("files", {})
        for name in names or expected:
            path = self.path / name
            try:
                found = storage.checksum(path)
            except OSError as error:
                raise self._damaged(path, f"cannot be read ({error.strerror})") from None
            if found != expected.get(name, found):
                raise self._damaged(path, "differs from what was written")

    def _table(self, name: str, filters: list[tuple[str, str, str]] | None = None) -> Any:
        from pyarrow import parquet

        if self.status != "complete":
            raise InputError(f"Run {self.id} is {self.status}, it has no results: run it again.")
        self.verify(name)
        try:
            return parquet.read_table(self.path / name, filters=filters)
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._damaged(self.path / name, f"cannot be read ({reason})") from None

    def _damaged(self, path: Path, what: str) -> CorruptDataError:
        return CorruptDataError(f"{path} {what}: `workbench runs delete {self.id}` removes it, then run it again.")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write a finished run's run.json with its checksum, replaced as a whole.

    Args:
        folder: Folder of the run.
        record: Its contents.
    """
    body = orjson.loads(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS))
    storage.replace_text(folder / RECORD, json.dumps({CHECKSUM: _crc(body), **body}))


def _crc(body: dict[str, Any]) -> int:
    """CRC-32 of the values: white space and the order of names do not count."""
    return zlib.crc32(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of a folder's run.json.

    Raises:
        NotFoundError: there is none.
        CorruptDataError: it is damaged, or another version wrote it.
    """
    try:
        with open(f"{folder}/{RECORD}", "rb") as stream:  # no Path: ten thousand are listed at once
            record = orjson.loads(stream.read())  # three times as fast as json, and ranx brings it
        version, crc = record["format"], record.pop(CHECKSUM, None)
        if version == FORMAT and (crc is not None or "files" in record) and crc != _crc(record):
            raise ValueError("its checksum does not match")
        if version == FORMAT:
            check_record(record)
    except FileNotFoundError:
        raise NotFoundError(f"{folder} holds no {RECORD}: give the folder of a run, or delete it.") from None
    except (ValueError, KeyError, TypeError, AttributeError, OSError, CorruptDataError) as error:
        raise CorruptDataError(f"{folder / RECORD} is damaged ({error}): delete the run.") from None
    if version != FORMAT:
        raise CorruptDataError(
            f"{folder / RECORD} has format {version}, this version reads {FORMAT}: use the version that wrote it."
        )
    return record


def short_name(experiment: dict[str, Any]) -> str:
    """The settings that tell a run apart: "cranfield, embedded, plaid, bits 2, factor 4"."""
    parts = [Path(experiment.get(part, "")).name for part in ("collection", "model")]
    parts.append(experiment.get("system") or experiment.get("index", ""))
    parts += [f"{name} {value}" for name, value in experiment.get("settings", {}).items()]
    factor, method = experiment.get("pool_factor", 1), experiment.get("pool_method", "hierarchical")
    if dim := experiment.get("dim"):
        parts.append(f"{dim} dimensions")
    if factor != 1:
        parts.append(f"factor {factor}{'' if method == 'hierarchical' else f' {method}'}")
    parts.append(experiment.get("pool", ""))
    if (scorer := experiment.get("scorer", "index")) != "index":
        parts.append("reranked" if scorer == "exact" else f"reranked by {scorer}")
    if where := experiment.get("where"):
        parts.append(f"where {where}")
    if (rule := experiment.get("same_ids", "auto")) != "auto":
        parts.append(f"same ids: {rule}")
    if experiment.get("seed"):
        parts.append(f"seed {experiment['seed']}")
    return ", ".join(str(part) for part in parts if part)
