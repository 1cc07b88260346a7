"""Whole systems on the five collections: the tables of docs/systems.md.

    python -m benchmarks.bench_systems                  # measures, writes results/systems.json and docs/systems.md
    python -m benchmarks.bench_systems --collections med                      # the same, the others as they are
    python -m benchmarks.bench_systems --page           # writes the page again from what was measured
    python -m benchmarks.bench_systems --collections cranfield --systems bm25 "bm25 > maxsim"

Each measurement is a run of this workbench and found again; `--force` measures again. Encoding a collection takes
minutes, and is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import machine
from benchmarks.contract_table import ROOT, replace_between
from benchmarks.data import ALL, collections_folder
from engine.statistics import paired
from workbench.experiments.prepare import prepare
from workbench.experiments.system_studies import compare_systems
from workbench.exports import Strong, markdown_table
from workbench.systems.worth import added, worth

SYSTEMS = (
    "bm25", "single", "bm25 + single", "bm25:k=1000 > maxsim", "bm25 + single > maxsim", "muvera", "muvera > maxsim",
    "muvera:form=1bit > maxsim", "plaid", "exact",
)  # fmt: skip
METRICS = ("ndcg@10", "recall@100")
BASE = "bm25"  # what the others are compared with in the table
PAGE = ROOT / "docs" / "systems.md"


def measured(name: str, model: str, systems: Sequence[str], force: bool) -> dict[str, Any]:
    """All systems on one collection."""
    prepared = prepare(str(collections_folder() / name), model)

    def told(stage: str, done: int, total: int) -> None:
        if sys.stdout.isatty():
            print(f"\r{name}: {stage}, {done} of {total}".ljust(100), end="", flush=True)

    rows = []
    for row in compare_systems(prepared, systems, metrics=METRICS, progress=told, force=force):
        rows.append(row)
        print(f"\r{name}: {row.text} {row.error or ''}".ljust(100), flush=True)
    base = next((row.per_query["ndcg@10"] for row in rows if row.text == BASE and row.per_query), None)
    answer = worth(rows)
    return {
        "collection": name, "documents": len(prepared.collection.documents),
        "questions": len(prepared.collection.judged_queries), "model": prepared.model,
        "answer": str(answer) if answer else "", "added": [str(gain) for gain in added(rows)],
        "systems": [
            {**row.to_dict(), "difference": paired(base, row.per_query["ndcg@10"]) if base and row.per_query else None}
            for row in rows
        ],
    }  # fmt: skip


def quality(found: Sequence[dict[str, Any]], metric: str) -> str:
    """One row a system, one column a collection: mean and interval; bold where it differs from BM25 for sure."""
    names = list(dict.fromkeys(row["name"] for part in found for row in part["systems"]))
    head = ("system", *(f"{part['collection']}, {part['questions']:,} questions" for part in found))
    rows = [(name, *(_quality(part, name, metric) for part in found)) for name in names]
    return _table(head, rows)


def _quality(part: dict[str, Any], name: str, metric: str) -> str:
    row = next((row for row in part["systems"] if row["name"] == name), None)
    if row is None or row["error"]:
        return "not measured"
    low, high = row["intervals"][metric]
    text, gain = f"{row[metric]:.3f} ({low:.3f} to {high:.3f})", row["difference"]
    sure = metric == METRICS[0] and gain is not None and (gain[1] > 0 or gain[2] < 0)
    return Strong(text) if sure else text


def costs(found: Sequence[dict[str, Any]]) -> str:
    """One row a system, one column a collection: median milliseconds, megabytes, seconds to build."""
    names = list(dict.fromkeys(row["name"] for part in found for row in part["systems"]))
    head = ("system", *(f"{part['collection']}, {part['documents']:,} documents" for part in found))
    rows = [(name, *(_cost(part, name) for part in found)) for name in names]
    return _table(head, rows)


def _cost(part: dict[str, Any], name: str) -> str:
    row = next((row for row in part["systems"] if row["name"] == name), None)
    if row is None or row["error"]:
        return "not measured"
    build = "" if row["build_s"] is None else f", {row['build_s']:.2g} s"
    return f"{row['p50_ms']:.3g} ms, {row['bytes'] / 1e6:.3g} MB{build}"


def stages(found: Sequence[dict[str, Any]]) -> str:
    """Median milliseconds of the stages of systems that have several, one column a collection."""
    rows = {}
    for part in found:
        for row in part["systems"]:
            if len(row.get("stages", [])) > 1:
                times = " + ".join(f"{stage['p50_ms']:.2g}" for stage in row["stages"])
                rows.setdefault(row["name"], {})[part["collection"]] = times
    names = [part["collection"] for part in found]
    return _table(("system", *names), [(name, *(row.get(one, "") for one in names)) for name, row in rows.items()])


def answers(found: Sequence[dict[str, Any]]) -> str:
    """The answer of each collection, and what last stages add."""
    parts = []
    for part in found:
        lines = "\n".join(f"- {line}" for line in part["added"])
        parts.append(f"**{part['collection']}.** {part['answer']}\n\n{lines}".rstrip())
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(head, rows).rstrip()


def conditions(found: Sequence[dict[str, Any]]) -> str:
    """Where it was measured; a load far above the threads of a search means milliseconds of a busy machine."""
    about, model = found[0]["machine"], found[0]["model"]
    loads = ", ".join(f"{part['collection']} {part['machine']['load_average'][0]}" for part in found)
    busy = any(part["machine"]["load_average"][0] > part["machine"]["threads"] + 2 for part in found)
    told = (
        " Other work shared the machine: milliseconds and seconds are several times what they are alone."
        if busy
        else ""
    )
    return (
        f"{about['processor']}, {about['threads']} threads, {about['date']}; load of the machine at the end of each: "
        f"{loads}.{told} Model {model['model']}, {model['dim']} dimensions."
    )


def write_page(found: Sequence[dict[str, Any]]) -> None:
    """Fill the parts of the page that are measured."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (
        ("quality", quality(found, "ndcg@10")), ("recall", quality(found, "recall@100")), ("costs", costs(found)),
        ("stages", stages(found)), ("answers", answers(found)), ("conditions", conditions(found)),
    ):  # fmt: skip
        text = replace_between(text, name, content)
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--page", action="store_true", help="write the page from results/systems.json")
    options = parser.parse_args()
    if options.page:
        write_page(json.loads((machine.RESULTS / "systems.json").read_text(encoding="utf-8"))["collections"])
        return
    for name in options.collections:
        part = measured(name, options.model, options.systems, options.force)
        if tuple(options.systems) == SYSTEMS:
            write_page(machine.save_part("systems", part, ALL))
        else:
            print(quality([part], "ndcg@10"), costs([part]), answers([part]), sep="\n\n")


if __name__ == "__main__":
    main()
