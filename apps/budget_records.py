"""What the explorer of budgets draws, as JSON values: measured points of factor, dimensions and bits, and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apps.plotting import drawn
from engine import Encoder
from engine.errors import InputError
from engine.pooling import parse_pool
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import GRID_FACTORS, JOINT_FACTORS
from workbench.experiments.pool_studies import planned, pool_study
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress, Stop
from workbench.experiments.views.pooling import PoolPoint, sentence
from workbench.figures import budget_curves

BITS = (16, 4, 2, 1)
BUDGETS = "once tokens=64"  # what the page suggests beside the factors
MOST_BUDGETS = 4
QUARTERS = 4  # parts of the dimensions of a model that was not trained for fewer


def dimensions(encoder: Encoder) -> tuple[list[int], bool]:
    """Which leading dimensions of a model are measured, ascending, and whether it was trained for them."""
    whole, known = encoder.dim, [dim for dim in encoder.nested if dim <= encoder.dim]
    if len(known) > 1:
        return sorted({*known, whole}), True
    return sorted({max(whole * part // QUARTERS, 1) for part in range(1, QUARTERS + 1)}), False


def budgets(text: str) -> list[str]:
    """Budgets that a person typed, parted by spaces.

    Raises:
        InputError: one that cannot be, or more than the page measures at once.
    """
    found = [str(parse_pool(part)) for part in text.replace(";", " ").split()]
    found = [part for part in dict.fromkeys(found) if part]
    if len(found) > MOST_BUDGETS:
        raise InputError(f"Expected {MOST_BUDGETS} budgets at most, got {len(found)}: measure the others afterwards.")
    return found


def grids(workspace_prepared: Prepared, others: Sequence[Encoder], pools: Sequence[str]) -> list[tuple[Prepared, int]]:
    """The collection with each model, and how many points its grid has; what cannot be is refused here.

    Args:
        workspace_prepared: With the first model.
        others: Models to compare with.
        pools: Budgets beside the factors.

    Raises:
        InputError: a budget that does not go with a model.
    """
    collection, kept = workspace_prepared.collection, workspace_prepared.vectors
    found = [workspace_prepared, *(prepare(collection, encoder, vectors=kept) for encoder in others)]
    counted = []
    for prepared in found:
        assert prepared.encoder is not None
        for pool in pools:
            prepared.pooler.check(parse_pool(pool))
        dims = [None if dim == prepared.dim else dim for dim in dimensions(prepared.encoder)[0]]
        plan = planned(Experiment(), GRID_FACTORS, ("hierarchical",), BITS, JOINT_FACTORS, dims, pools)
        counted.append((prepared, len(plan)))
    return counted


def measured(
    of: Sequence[tuple[Prepared, int]], pools: Sequence[str], progress: Progress, stop: Stop
) -> Iterator[PoolPoint]:
    """A point of each model in turn, as they are finished: what is stopped early holds both curves.

    Args:
        of: See `grids`.
        pools: Budgets beside the factors.
        progress: Told of the stage, the points done, and how many there are.
        stop: A yes ends it.
    """
    done, total = 0, sum(count for _, count in of)

    def study(prepared: Prepared) -> Iterator[PoolPoint]:
        assert prepared.encoder is not None
        name = prepared.encoder.name if len(of) > 1 else ""

        def told(stage: str, *_: int) -> None:
            progress(": ".join(filter(None, [name, stage])), done, total)

        dims = dimensions(prepared.encoder)[0]
        return pool_study(prepared, GRID_FACTORS, bits=BITS, dims=dims, pools=pools, progress=told, stop=stop)

    studies = [study(prepared) for prepared, _ in of]
    while studies:
        for one in list(studies):
            point = next(one, None)
            if point is None:
                studies.remove(one)
                continue
            done += 1
            yield point


def point_row(point: PoolPoint) -> dict[str, Any]:
    """One measured point: its place on the three sliders, its size and quality, and the difference to all vectors."""
    metric = next(iter(point.mean))
    return {
        "model": point.model, "name": point.name, "pool": point.label, "settings": str(point.experiment.pooling),
        "dim": point.dim, "bits": point.bits, "bytes": point.bytes, "each": point.bytes_each, "metric": metric,
        "mean": point.mean[metric], "difference": list(point.difference), "kept": point.kept,
        "milliseconds": point.latency_ms, "queries": point.queries, "documents": point.documents,
        "sentence": sentence(point), "key": f"{point.model}: {point.name}",
    }  # fmt: skip


def figure_of(points: Sequence[PoolPoint]) -> str:
    """All points so far, for the page to draw its budget over."""
    return drawn(budget_curves(points, metric=next(iter(points[0].mean))))
