"""Compare indexes on identical vectors: exact MaxSim is the truth, judgements are kept apart from it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings, evaluate, load_collection, maxsim
from engine.encoder import Task
from engine.errors import InputError, WorkbenchError
from engine.evaluation import DEFAULT_METRICS
from engine.indexes import classes, index_class
from engine.machine import machine, versions
from engine.retrieval import Ranking, check_k, id_order, top_positions
from workbench.experiments.child import recall_against, set_threads
from workbench.experiments.views.indexes import IndexRecord, command_for

TARGET = 0.95  # of exact results, which "matched" points reach
Progress = Callable[[str, int, int], None]  # what is being done, done, all
Spec = tuple[str, Mapping[str, Any]]


def default_indexes() -> tuple[tuple[str, dict[str, Any]], ...]:
    """The kinds that a comparison takes in where nobody names indexes, and the settings that they ask for."""
    return tuple((kind, dict(found.compared)) for kind, found in classes().items() if found.compared is not None)


@dataclass(frozen=True, eq=False)
class Vectors:
    """A collection with its vectors, in the order of its documents and queries."""

    collection: Collection
    documents: TokenEmbeddings
    queries: TokenEmbeddings
    source: tuple[str, str] | None = None  # names of collection and model, when a command can repeat it


def vectors_of(
    collection: str | Collection = "embedded",
    model: str | Encoder = "embedded",
    documents: TokenEmbeddings | None = None,
    queries: TokenEmbeddings | None = None,
    progress: Progress | None = None,
) -> Vectors:
    """Get the vectors that indexes are compared on: those given, else encoded (and kept for next time).

    Args:
        collection: A name or path for `load_collection`, or a collection.
        model: A name or path for `Encoder.load`, or an encoder; not used when vectors are given.
        documents: Vectors of the collection's documents, in order.
        queries: Vectors of its queries, in order.
        progress: Called with ("encode documents" or "encode queries", done, all).

    Returns:
        The vectors.

    Raises:
        InputError: only one of the two was given, counts differ, or there are no queries.
    """
    source = (collection, model) if isinstance(collection, str) and isinstance(model, str) else None
    loaded = load_collection(collection) if isinstance(collection, str) else collection
    if not loaded.queries:
        raise InputError(f"{loaded.name!r} has no queries to compare indexes with: add queries.jsonl, or pass vectors.")
    if (documents is None) != (queries is None):
        raise InputError("Expected vectors of both documents and queries, got one of them: pass both or neither.")
    if documents is None or queries is None:
        from workbench.cache import cached_embeddings

        report = progress or (lambda stage, done, total: None)
        encoder = Encoder.load(model) if isinstance(model, str) else model
        sides: tuple[tuple[Task, dict[str, str]], ...] = (("document", loaded.documents), ("query", loaded.queries))
        documents, queries = (
            cached_embeddings(
                encoder,
                list(texts.values()),
                task,
                lambda done, total, task=task: report(f"encode {task}", done, total),
            )
            for task, texts in sides
        )
    else:
        source = None
    if (len(documents), len(queries)) != (len(loaded.documents), len(loaded.queries)):
        raise InputError(
            f"Expected vectors of {len(loaded.documents)} documents and {len(loaded.queries)} queries, got "
            f"{len(documents)} and {len(queries)}: pass them in the order of the collection."
        )
    return Vectors(loaded, documents, queries, source)


def exact_rankings(
    ids: list[str], documents: TokenEmbeddings, queries: TokenEmbeddings, k: int, progress: Progress | None = None
) -> list[Ranking]:
    """The truth: the k best documents of each query by exact MaxSim."""
    order, rankings = id_order(ids), []
    for number in range(len(queries)):
        scores = maxsim(queries.select([number]), documents)[0]
        best = top_positions(scores, order, k)
        rankings.append(Ranking([ids[i] for i in best], scores[best]))
        if progress is not None:
            progress("exact truth", number + 1, len(queries))
    return rankings


def compare_indexes(
    collection: str | Collection = "embedded",
    indexes: Sequence[Spec] | None = None,
    model: str | Encoder = "embedded",
    documents: TokenEmbeddings | None = None,
    queries: TokenEmbeddings | None = None,
    k: int = 100,
    matched: float | None = TARGET,
    max_queries: int | None = None,
    threads: int | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[IndexRecord]:
    """Measure indexes on identical vectors, one after the other, each in a process of its own.

    Args:
        collection: A name or path for `load_collection`, or a collection.
        indexes: (kind, settings) each; `parse_spec` reads them from text. None takes `default_indexes`.
        model: A name or path for `Encoder.load`, or an encoder.
        documents: Vectors of the documents in their order, instead of encoding them.
        queries: Vectors of the queries in their order.
        k: Results a query.
        matched: Share of the exact results (the first k, at most 100) that the search of every kind is also tuned to,
            with its build left as it is; None measures the settings as given only.
        max_queries: Ask only the first so many queries.
        threads: For every library; all processors when None.
        metrics: Against judgements; a collection without judgements is compared without.
        progress: Called with (what is being done, done, all).
        should_stop: Asked several times a second; once it says yes the index at hand is given up, and what was
            finished has been yielded already. Closing the generator does the same.

    Yields:
        One record an index, and one more where its search can be tuned, as soon as they are there; without numbers when
        no settings reach `matched`. A kind that is not installed gives a record with `error`.

    Raises:
        InputError: an unknown kind or setting, no queries, or vectors that do not fit.
    """
    check_k(k)
    specs = [(kind, dict(settings)) for kind, settings in (default_indexes() if indexes is None else indexes)]
    for kind, settings in specs:
        index_class(kind).parse_settings(settings)
    report = progress or (lambda stage, done, total: None)
    vectors = vectors_of(collection, model, documents, queries, report)
    asked = vectors.queries.select(np.arange(min(max_queries or len(vectors.queries), len(vectors.queries))))
    ids = list(vectors.collection.documents)
    truth = exact_rankings(ids, vectors.documents, asked, max(k, 10), report)
    count = threads or os.cpu_count() or 1
    options = {
        "k": k,
        "threads": count,
        "matched": matched or 0,
        **({"max-queries": max_queries} if max_queries else {}),
    }
    base = IndexRecord(
        kind="", point="as given", settings={}, collection=vectors.collection.name, documents=len(ids),
        tokens=vectors.documents.n_tokens, dim=vectors.documents.dim, queries=len(asked), k=k, target=matched or 0.0,
        versions=versions(), machine=machine(), threads=count,
        command=command_for(*vectors.source, specs, options) if vectors.source else "",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="compare-indexes-") as scratch:
        folder = Path(scratch)
        vectors.documents.save(folder / "documents")
        asked.save(folder / "queries")
        for kind, settings in specs:
            job = {
                "kind": kind, "settings": settings, "ids": ids, "k": k, "target": matched,
                "truth": [ranking.ids for ranking in truth], "index_folder": str(folder / "index"),
                "ladder": index_class(kind).ladder(index_class(kind).parse_settings(settings)) if matched else (),
            }  # fmt: skip
            outcome = _run(folder, job, count, report, should_stop)
            shutil.rmtree(folder / "index", ignore_errors=True)
            if outcome is None:
                return
            start = replace(base, kind=kind, settings=index_class(kind).parse_settings(settings).__dict__)
            yield from _records(start, outcome, truth, vectors.collection, metrics)


def _run(
    folder: Path, job: dict[str, Any], threads: int, report: Progress, should_stop: Callable[[], bool] | None
) -> dict[str, Any] | None:
    """Measure one job in its own process; None when it was stopped."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    (folder / "outcome.json").unlink(missing_ok=True)
    environment = dict(os.environ)
    set_threads(environment, threads)
    root = str(Path(__file__).resolve().parents[1])  # and where this process finds packages, those of other kinds too
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([root, *filter(None, sys.path)]))
    with (folder / "errors.txt").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.experiments.child", str(folder)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if should_stop is not None and should_stop():
                    return None
                _forward(lines, job["kind"], report)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
        if (folder / "outcome.json").exists():
            return json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [f"it ended with code {process.returncode}"])[-1]
        return {"error": f"The measurement of {job['kind']!r} ended early: {last}"}


def _forward(lines: queue.Queue[str], kind: str, report: Progress) -> None:
    """Pass on progress that arrives within a fifth of a second."""
    end = time.monotonic() + 0.2
    while (left := end - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            return
        if line.startswith('{"stage"'):  # a library may print too
            told = json.loads(line)
            report(f"{kind}: {told['stage']}", told["done"], told["total"])


def _records(
    base: IndexRecord, outcome: dict[str, Any], truth: list[Ranking], collection: Collection, metrics: Sequence[str]
) -> Iterator[IndexRecord]:
    if "error" in outcome:
        yield replace(base, error=outcome["error"])
        return
    described = outcome["describe"]
    best = [ranking.ids for ranking in truth]
    elsewhere = described.get("elsewhere")
    for point in outcome["points"]:
        if not point["ids"]:
            yield replace(base, point=point["point"], error=point["notes"][-1])
            continue
        notes = [*point["notes"], *([f"its bytes are on {elsewhere} and were not measured"] if elsewhere else [])]
        rankings = {
            query: Ranking(found, np.arange(len(found), 0, -1, dtype=np.float32))
            for query, found in zip(collection.queries, point["ids"], strict=False)
        }
        mean, per_query = {}, {}
        try:
            evaluation = evaluate(rankings, collection, metrics)
            mean, per_query = evaluation.mean, evaluation.per_query
        except WorkbenchError:
            notes.append("without judgements there is no nDCG")
        yield replace(
            base,
            point=point["point"],
            settings=point["settings"],
            recall_10=recall_against(point["ids"], best, min(10, base.k)),
            recall_100=recall_against(point["ids"], best, min(100, base.k)),
            metrics=mean,
            per_query=per_query,
            latencies_ms=tuple(point["latencies_ms"]),
            queries_per_second=point["queries_per_second"],
            build_seconds=outcome["build_seconds"],
            peak_memory_bytes=outcome["peak_memory_bytes"],
            bytes=None if elsewhere else described["bytes"],
            can=tuple(described["can"]),
            cannot=tuple(described["cannot"]),
            dependency_defaults=outcome["dependency_defaults"],
            notes=tuple(notes),
        )
