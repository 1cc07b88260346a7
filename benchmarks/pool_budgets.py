"""The part of docs/pool-factor.md about budgets, and the picture of the explorer with the curves of two models.

    python -m benchmarks.pool_budgets --against MODEL --collection FOLDER --collection FOLDER

Budgets are measured on every collection with `--model`; the picture is of the first one, with both models, and stays as
it is where `--against` is left out, since its grid takes most of the time. Whatever was
measured before is found again in the store, so that a command that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contract_table import ROOT, replace_between
from engine import Encoder
from engine.errors import WorkbenchError
from engine.pooling import parse_pool
from workbench import figures
from workbench.experiments.plan import GRID_FACTORS
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.views.pool_document import METRIC, THEMES, WIDTH, numbers
from workbench.experiments.views.pooling import PoolPoint, best_under, bytes_of_budget
from workbench.exports import markdown_table

PAGE, FOLDER = ROOT / "docs" / "pool-factor.md", ROOT / "docs" / "pool-factor"
FACTORS = (1.0, 2.0, 4.0)  # that budgets stand beside
BUDGETS = ("once", "once,factor=2", "tokens=64", "tokens=32", "distance=.3", "distance=.5", "importance=.5",
           "importance=.5,by=model", "importance=.7,by=model")  # fmt: skip
BITS = (16, 4, 2, 1)
LINE = "512B/document"  # the budget that the picture draws
PICTURE = (
    '<picture><source media="(prefers-color-scheme: dark)" srcset="pool-factor/explorer-dark.svg">'
    '<img src="pool-factor/explorer.svg" alt="Quality over bytes of two models at every factor, dimension and number '
    'of bits, with a budget and the best points under it" width="640"></picture>'
)
QUARTERS = 4  # of the dimensions of a model that was not trained for fewer


def dims_of(encoder: Encoder) -> list[int]:
    """The dimensions that a model was trained for, or quarters of its own."""
    nested = [*encoder.nested] if len(encoder.nested) > 1 else []
    return nested or [encoder.dim * part // QUARTERS for part in range(1, QUARTERS + 1)]


def budgets_for(prepared: Prepared) -> list[str]:
    """Those that go with the model: not every one says what its tokens matter."""
    found = []
    for budget in BUDGETS:
        try:
            prepared.pooler.check(parse_pool(budget))
        except WorkbenchError as error:
            print(f"{budget}: {error}")
            continue
        found.append(budget)
    return found


def table(points: Sequence[PoolPoint]) -> str:
    """One row a collection and a factor or budget: what stays, and the paired difference."""
    head = ("collection", "factor or budget", "vectors kept", "bytes a document", "nDCG@10", "difference (95%)")
    rows = [
        (p.collection, p.label, f"{p.kept:.0%}", f"{p.bytes_each:,.0f}", f"{p.mean[METRIC]:.3f}", p.difference.signed)
        for p in points
    ]
    return markdown_table(head, rows)


def explored(names: Sequence[str], collection: str) -> list[PoolPoint]:
    """The grid of each model on one collection."""
    points: list[PoolPoint] = []
    for name in names:
        prepared = prepare(collection, name)
        assert prepared.encoder is not None
        dims = dims_of(prepared.encoder)
        points += pool_study(prepared, GRID_FACTORS, bits=BITS, dims=dims, pools=("once",), progress=told)
    return points


def told(stage: str, done: int, total: int) -> None:
    """Say how far it is."""
    print(f"{done}/{total} {stage}", flush=True)


def below(points: Sequence[PoolPoint]) -> str:
    """The best point of each model under the line, in words."""
    most = bytes_of_budget(LINE, points[0].documents)
    lines = []
    for model in dict.fromkeys(point.model for point in points):
        best = best_under([point for point in points if point.model == model], most, METRIC)
        found = "nothing fits" if best is None else f"{best.name}: {best.mean[METRIC]:.3f}, {best.difference.signed}"
        lines.append(f"- {model}: {found}")
    return "\n".join([PICTURE, "", f"The best measured points under {LINE} on {points[0].collection}:", "", *lines])


def main() -> None:
    """Measure, draw, and replace both parts of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--against", help="the model before (or after) the training, for the picture")
    parser.add_argument("--collection", action="append", required=True)
    options = parser.parse_args()
    budgeted: list[PoolPoint] = []
    for collection in options.collection:
        prepared = prepare(collection, options.model)
        budgeted += pool_study(prepared, FACTORS, pools=budgets_for(prepared), progress=told)
    keep("budgets", budgeted, table(budgeted))
    if options.against:
        points = explored((options.against, options.model), options.collection[0])
        most = bytes_of_budget(LINE, points[0].documents)
        pictures: dict[str | Path, object] = {
            FOLDER / f"explorer{'' if theme == 'light' else '-dark'}.svg": figures.budget_curves(
                points, most, theme=theme
            )
            for theme in THEMES
        }
        figures.export_images(pictures, WIDTH)  # type: ignore[arg-type]
        keep("explorer", points, below(points))


def keep(part: str, points: Sequence[PoolPoint], text: str) -> None:
    """Write the numbers of a part of the page beside it, and its text into it."""
    rows = [numbers(point) for point in points]
    (FOLDER / f"{part}.json").write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
    PAGE.write_text(replace_between(PAGE.read_text(encoding="utf-8"), part, text), encoding="utf-8")


if __name__ == "__main__":
    main()
