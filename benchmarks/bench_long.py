"""Long documents: quality against length, time and memory a token, windows beside short documents, and explaining.

    python -m benchmarks.bench_long quality            # nDCG@10 of each way to read, on five collections
    python -m benchmarks.bench_long lengths            # ms and bytes a token from 10 to 32,768, beside the library
    python -m benchmarks.bench_long windows            # 200 documents of 8,000 tokens against short documents
    python -m benchmarks.bench_long explain            # the answer of a page for one of them
    python -m benchmarks.bench_long page               # docs/long-documents.md and its figure, from what was measured

Every measurement is kept in benchmarks/results/long.json as soon as it is there; what is there is not measured again
unless `--force` is given. Qualities are runs of the workbench, so vectors and results are found again as well.
Times and memory are those of a process of their own each, peak resident memory above what the loaded model takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contract_table import ROOT, replace_between
from benchmarks.data import ALL, collections_folder
from benchmarks.long_child import LENGTHS, model_folder
from benchmarks.machine import RESULTS, describe

RECORD = RESULTS / "long.json"
PAGE, FIGURE = ROOT / "docs" / "long-documents.md", ROOT / "docs" / "long-documents"
READINGS = {  # what a table calls it -> the choices behind the model's name
    "cut at 64": "document_length=64",
    "cut at 128": "document_length=128",
    "cut at 256": "",  # the model's own length
    "cut at 512": "document_length=512",
    "windows 128:16": "windows=128:16",
    "windows 256:32": "windows=256:32",
    "windows 256:64": "windows=256:64",
    "windows 512:64": "windows=512:64",
}
BASE = "cut at 256"


def known() -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def keep(part: str, key: str, value: dict[str, Any]) -> None:
    """Write one measurement beside the others, with the machine that it was taken on."""
    record = known()
    record.setdefault(part, {})[key] = value
    record.setdefault("machine", {})[part] = describe()
    RESULTS.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(part, key, json.dumps(value), flush=True)


def each(part: str, keys: list[str], measure: Callable[[str], dict[str, Any]], force: bool) -> None:
    """Measure what is not known yet."""
    for key in keys:
        if force or key not in known().get(part, {}):
            keep(part, key, measure(key))


def quality(collections: list[str], force: bool) -> None:
    """nDCG@10 of exact search with each way to read documents; differences to the model's own length."""
    from engine.statistics import paired
    from workbench.experiments.execute import run
    from workbench.experiments.experiment import Experiment

    def measured(collection: str, reading: str) -> Any:
        choices = READINGS[reading]
        model = f"embedded?{choices}" if choices else "embedded"
        return run(Experiment(collection=str(collections_folder() / collection), model=model, metrics=("ndcg@10",)))

    def measure(key: str) -> dict[str, Any]:
        collection, reading = key.split(": ")
        own, base = measured(collection, reading), measured(collection, BASE)
        return {
            "ndcg@10": own.mean["ndcg@10"],
            "difference": list(paired(base.per_query("ndcg@10"), own.per_query("ndcg@10"))),
            "queries": len(own.per_query("ndcg@10")),
            "tokens": own.record["sizes"]["tokens_full"],
            "notes": [note for note in own.warnings if "cut" in note],
        }

    each("quality", [f"{name}: {reading}" for name in collections for reading in READINGS], measure, force)


def child(what: str, *options: object) -> dict[str, Any]:
    """Measure in a process of its own, so that its peak of memory is its own."""
    command = [sys.executable, "-m", "benchmarks.long_child", what, *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def lengths(tokens: int, longest: int, force: bool) -> None:
    """Time and memory of documents of one length each, on a ModernBERT-shaped model, ours and the library's."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch))

        def measure(key: str) -> dict[str, Any]:
            who, length, threads = key.split()
            return child("length", folder, who, length, threads, max(tokens, int(length)))

        wanted = [length for length in LENGTHS if length <= longest]
        ours = [f"ours {length} 2" for length in wanted] + [f"ours {length} 6" for length in wanted if length >= 2048]
        each("lengths", [*ours, *(f"library {length} 2" for length in wanted)], measure, force)


def windows(documents: int, tokens: int, sizes: list[str], force: bool) -> None:
    """Long documents in windows, against the same windows as documents of their own and against short documents."""
    keys = [f"{way} {size} {documents}x{tokens}" for size in sizes for way in ("windows", "apart", "short")]

    def measure(key: str) -> dict[str, Any]:
        way, size, _ = key.split()
        return child("windows", way, size, documents, tokens)

    each("windows", keys, measure, force)


def explaining(tokens: int, force: bool) -> None:
    """What a page asks for when a person opens one long document: the answer in milliseconds and bytes."""
    each("explain", [f"{tokens}"], lambda key: child("explain", key), force)


def cell(value: dict[str, Any]) -> str:
    """A difference, bold where its interval leaves out zero."""
    difference, low, high = value["difference"]
    text = f"{difference:+.3f}"
    return f"**{text}**" if low > 0 or high < 0 else text


def quality_table(found: dict[str, Any]) -> str:
    """One row a collection: nDCG@10 at the model's own length, and the difference of every other way."""
    others = [name for name in READINGS if name != BASE]
    rows = [
        f"| collection | questions | {BASE} | {' | '.join(others)} |", "| --- " * (len(others) + 3) + "|",
    ]  # fmt: skip
    for name in dict.fromkeys(key.split(": ")[0] for key in found):
        base = found.get(f"{name}: {BASE}")
        if base is None:
            continue
        cells = [cell(found[f"{name}: {other}"]) if f"{name}: {other}" in found else "" for other in others]
        rows.append(f"| {name} | {base['queries']} | {base['ndcg@10']:.3f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def lengths_table(found: dict[str, Any]) -> str:
    """One row a length: microseconds a token and megabytes above the model."""
    rows = ["| tokens of a document | ours, µs a token | library | ours, MB | six threads | library |",
            "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for length in LENGTHS:
        ours, six, library = (found.get(key) for key in (f"ours {length} 2", f"ours {length} 6", f"library {length} 2"))
        if ours is None:
            continue
        cells = [f"{length:,}", _number(ours, "us_a_token"), _number(library, "us_a_token"), _number(ours, "peak_mb"),
                 _number(six, "peak_mb"), _number(library, "peak_mb")]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _number(value: dict[str, Any] | None, name: str) -> str:
    return "" if value is None else f"{value[name]:,.0f}"


def windows_table(found: dict[str, Any]) -> str:
    """One row a window: seconds of the three ways, their ratios, and the peak."""
    rows = ["| windows | documents | s | the windows as documents | times | as short documents | times | MB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for key, value in found.items():
        way, size, what = key.split()
        apart, short = found.get(f"apart {size} {what}"), found.get(f"short {size} {what}")
        if way != "windows" or apart is None or short is None:
            continue
        rows.append(
            f"| {size} | {what.replace('x', ' of ')} tokens | {value['seconds']:.1f} | {apart['seconds']:.1f} | "
            f"{value['seconds'] / apart['seconds']:.2f} | {short['seconds']:.1f} | "
            f"{value['seconds'] / short['seconds']:.2f} | {value['peak_mb']:,.0f} |"
        )
    return "\n".join(rows)


def explain_table(found: dict[str, Any]) -> str:
    """One row a length of document."""
    rows = ["| tokens | ms, first time | ms, another passage | kB of the answer |", "| --- | --- | --- | --- |"]
    for key, value in found.items():
        rows.append(f"| {int(key):,} | {value['first_ms']:.0f} | {value['next_ms']:.0f} | {value['kilobytes']:.0f} |")
    return "\n".join(rows)


def figure(found: dict[str, Any]) -> None:
    """nDCG@10 of each way to read, one line a collection, light and dark."""
    import plotly.graph_objects as go

    from workbench.figures.export import export_image
    from workbench.figures.theme import DASHES, SYMBOLS, palette, style

    FIGURE.mkdir(exist_ok=True)
    names = list(dict.fromkeys(key.split(": ")[0] for key in found))
    for theme, ending in (("light", ""), ("dark", "-dark")):
        colours, drawn = palette(theme), go.Figure()
        for number, name in enumerate(names):
            values = [found.get(f"{name}: {reading}", {}).get("ndcg@10") for reading in READINGS]
            drawn.add_scatter(
                x=list(READINGS), y=values, name=name, mode="lines+markers", line_dash=DASHES[number % len(DASHES)],
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
                line_color=colours.series[number % len(colours.series)],
            )  # fmt: skip
        style(drawn, "Quality against how much of a document is read", theme, 340, "nDCG@10 of exact search.")
        drawn.update_yaxes(title_text="nDCG@10")
        export_image(drawn, FIGURE / f"quality{ending}.svg")


def page() -> None:
    """Replace the tables of the page and its figure."""
    record, text = known(), PAGE.read_text(encoding="utf-8")
    tables = {"quality": quality_table, "lengths": lengths_table, "windows": windows_table, "explain": explain_table}
    for part, made in tables.items():
        if part in record:
            machine = record["machine"][part]
            taken = f"{machine['processor']}, {machine['threads']} threads, load {machine['load_average'][0]}"
            text = replace_between(text, part, f"{made(record[part])}\n\nTaken {machine['date']}: {taken}.")
    PAGE.write_text(text, encoding="utf-8")
    if "quality" in record:
        figure(record["quality"])


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "lengths", "windows", "explain", "page"))
    parser.add_argument("--collections", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--documents", type=int, default=200, help="of `windows`")
    parser.add_argument("--tokens", type=int, default=8000, help="of a document, for `windows` and `explain`")
    parser.add_argument("--sizes", nargs="+", default=["256:32"], help="windows to measure")
    parser.add_argument("--work", type=int, default=65536, help="tokens that `lengths` encodes at each length")
    parser.add_argument("--longest", type=int, default=LENGTHS[-1], help="of `lengths`")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    if options.what == "quality":
        quality(options.collections, options.force)
    elif options.what == "lengths":
        lengths(options.work, options.longest, options.force)
    elif options.what == "windows":
        windows(options.documents, options.tokens, options.sizes, options.force)
    elif options.what == "explain":
        explaining(options.tokens, options.force)
    else:
        page()


if __name__ == "__main__":
    main()
