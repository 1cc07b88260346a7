"""Indexes side by side on the vectors that all benchmarks share: build, bytes, latency, recall against exact, nDCG.

`python -m benchmarks.bench_indexes --set cranfield --cache FOLDER` prints the table and the records; `--lost` adds
where each index lost relevant documents.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.data import SMALL, Embedded, small_set
from engine import Collection, create_index
from workbench.experiments.plan import default_indexes, parse_spec
from workbench.experiments.prepare import prepare
from workbench.experiments.studies import compare_indexes
from workbench.experiments.views.index_tables import as_markdown
from workbench.experiments.views.indexes import write_rows
from workbench.systems.lost_in_index import costs_as_markdown, lost_documents


def part_of(everything: Embedded, name: str) -> Embedded:
    """One collection of a joined set, with its vectors."""
    prefix = f"{name}/"
    rows = np.array([i for i, key in enumerate(everything.ids) if key.startswith(prefix)])
    asked = np.array([i for i, key in enumerate(everything.query_ids) if key.startswith(prefix)])
    whole = everything.collection
    ids, queries = [everything.ids[i] for i in rows], [everything.query_ids[i] for i in asked]
    collection = Collection(
        {key: whole.documents[key] for key in ids},
        {key: whole.queries[key] for key in queries},
        {key: whole.qrels[key] for key in queries if key in whole.qrels},
        name,
    )
    return Embedded(collection, ids, everything.documents.select(rows), queries, everything.queries.select(asked))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", help="folder of the shared vectors")
    parser.add_argument("--set", choices=[*SMALL, "small"], default="cranfield")
    parser.add_argument("--index", action="append", help="kind:setting=value,..., may be repeated")
    parser.add_argument("--max-queries", type=int)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--lost", action="store_true", help="also trace the relevant documents that were lost")
    parser.add_argument("--output", type=Path, help="write the records here, as JSON")
    options = parser.parse_args()
    data = small_set(options.cache)
    if options.set != "small":
        data = part_of(data, options.set)
    specs = [parse_spec(text) for text in options.index] if options.index else default_indexes()
    records, start = [], time.perf_counter()
    for record in compare_indexes(
        prepare(data.collection, documents=data.documents, queries=data.queries),
        specs,
        k=options.k,
        max_queries=options.max_queries,
        progress=lambda what, done, total: print(f"\r{what} {done}/{total}   ", end="", file=sys.stderr),
        force=True,
    ):
        records.append(record)
        told = record.error or f"{record.p50_ms:.2f} ms, R@100 {record.recall_100:.3f}"
        print(f"\n{time.perf_counter() - start:.0f} s: {record.name}: {told}", file=sys.stderr, flush=True)
    print(as_markdown(records))
    print(f"\n{time.perf_counter() - start:.0f} s in all; {records[0].machine}; {records[0].versions}")
    if options.output:
        write_rows(records, options.output)
    if options.lost:
        for kind, settings in specs:
            with tempfile.TemporaryDirectory() as scratch:
                index = create_index(kind, Path(scratch) / "index", **settings)
                index.add(data.ids, data.documents)
                report = lost_documents(index, data.collection, data.documents, data.queries)
            print(f"\n{kind}\n\n{costs_as_markdown(report)}")


if __name__ == "__main__":
    main()
