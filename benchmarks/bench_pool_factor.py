"""The pool-factor study on the test collections: records, figures and tables, one command.

`python -m benchmarks.bench_pool_factor cranfield cisi med npl medquad --output docs/pool-factor` uses the cached token
vectors of `benchmarks.data` (96 dimensions) and writes, for each collection, the records as JSON, the figures as SVG,
and one table of all of them in Markdown. A collection whose records are there already is only drawn again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.data import ALL, embedded_collection, project, projection
from engine import Collection, TokenEmbeddings
from workbench import figures
from workbench.pool_report import (
    by_document_length,
    by_query_type,
    front,
    full_study,
    group_curve,
    load_records,
    save_records,
)
from workbench.pool_study import PoolRecord, sentence

COLUMNS = ("collection", "method", "bits", "factor", "vectors", "MB", "nDCG@10 (95%)", "recall@100",
           "difference (95%)", "better", "worse", "ms")  # fmt: skip


def study(name: str, folder: Path, cache: str | None, bits: tuple[int, ...]) -> list[PoolRecord]:
    """Measure one collection, or read what was measured before; draw it either way."""
    embedded = embedded_collection(name, cache)
    matrix = projection(cache)
    documents, queries = project(embedded.documents, matrix), project(embedded.queries, matrix)
    path = folder / f"{name}.json"
    if path.exists():
        records = load_records(path)
    else:
        records = []
        start = time.perf_counter()
        for record in full_study(embedded.collection, documents, queries, bits=bits):
            records.append(record)
            print(f"{name} {record.bits} bits {record.method} {record.label}: {record.mean}, "
                  f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip
        save_records(records, path)
    draw(name, records, embedded.collection, documents, folder)
    return records


def draw(
    name: str, records: list[PoolRecord], collection: Collection, documents: TokenEmbeddings, folder: Path
) -> None:
    """The figures of one collection, as SVG."""
    curve = [record for record in records if record.index == "exact" and record.method == "hierarchical"]
    figures.export_image(figures.pool_curve(curve, chosen=4), folder / f"{name}-curve.svg", width=720)
    figures.export_image(figures.trade_off(records), folder / f"{name}-trade-off.svg", width=720)
    for label, groups in (
        ("length", by_document_length(collection, documents)),
        ("queries", by_query_type(collection)),
    ):
        if groups:
            title = f"{name}: what each factor changes, by {'document length' if label == 'length' else 'query type'}"
            shown = figures.group_curves(group_curve(curve, groups), title=title)
            figures.export_image(shown, folder / f"{name}-{label}.svg", width=720)


def table(records: list[PoolRecord]) -> str:
    """All records as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for record in records:
        low, high = record.interval["ndcg@10"]
        mean, least, most = record.difference
        cells = (record.collection, record.method, record.bits, record.label, f"{record.tokens:,}",
                 f"{record.bytes / 1e6:.1f}", f"{record.mean['ndcg@10']:.3f} ({low:.3f} to {high:.3f})",
                 f"{record.mean['recall@100']:.3f}", f"{mean:+.3f} ({least:+.3f} to {most:+.3f})", len(record.better),
                 len(record.worse), f"{record.latency_ms:.1f}")  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=list(ALL), help="which; all five when left out")
    parser.add_argument("--output", default="docs/pool-factor", help="folder of the report")
    parser.add_argument("--cache", help="cache folder of the token vectors")
    parser.add_argument("--bits", nargs="*", type=int, default=[8, 4, 2, 1], help="bits to set against factors")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    everything: list[PoolRecord] = []
    for name in options.collections:
        records = study(name, folder, options.cache, tuple(options.bits))
        everything += records
        print(f"{name}: {sentence(next(r for r in records if r.factor == 4))}")
        best = ", ".join(f"{r.bits} bits at factor {r.label} ({r.mean['ndcg@10']:.3f})" for r in front(records))
        print(f"{name}, joint front from the smallest: {best}", flush=True)
    (folder / "results.md").write_text(table(everything), encoding="utf-8")


if __name__ == "__main__":
    main()
