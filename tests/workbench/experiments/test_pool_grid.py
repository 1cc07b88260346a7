"""The grid of a pool study: which points, in which order, and what is best under a budget."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.errors import InputError, UnsupportedError
from workbench import figures
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import pool_grid, tried
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.views.pooling import best_under, bytes_of_budget

BASE = Experiment(collection="tiny", model="fake")


@pytest.fixture(scope="module")
def prepared(tiny_collection, fake_encoder):
    return prepare(tiny_collection, fake_encoder)


@pytest.fixture(scope="module")
def points(prepared):
    return list(pool_study(prepared, factors=(2, 1, 4), dims=(4, 8, 16), bits=(16, 4), pools=("once", "tokens=3")))


def shape(experiment: Experiment) -> tuple:
    return str(experiment.pooling), experiment.dim, experiment.settings.get("bits", 16)


def test_the_grid_begins_with_all_vectors_and_the_ends_of_every_row() -> None:
    found = [shape(entry) for entry in pool_grid(BASE, [1, 2, 4, 8], [32, 64, 96, None], [16, 4, 2, 1])]
    assert len(found) == len(set(found)) == 64
    assert found[0] == ("", None, 16)
    assert set(found[:8]) == {(pool, dim, bits) for pool in ("", "factor=8") for dim in (None, 32) for bits in (16, 1)}
    inner = {(pool, dim, bits) for pool in ("factor=4",) for dim in (64,) for bits in (4,)}
    assert inner < set(found[8:])
    middle = [found.index(point) for point in (("factor=2", None, 16), ("", 96, 16), ("", None, 4))]
    assert max(middle) < found.index(("factor=4", 64, 2))


def test_budgets_stand_beside_factors_and_a_method_is_kept() -> None:
    base = BASE.with_(pool_method="sequential", pool_protected=0)
    found = pool_grid(base, [4.0, "tokens=64", 1.0, "factor=2,method=hierarchical"], [None], [32])
    assert [str(entry.pooling) for entry in found] == [
        "method=sequential,protected=0", "method=sequential,protected=0", "factor=4,method=sequential,protected=0",
        "tokens=64,method=sequential,protected=0", "factor=2,protected=0",
    ]  # fmt: skip
    assert [entry.settings for entry in found] == [{}, *[{"dtype": "float32"}] * 4]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bits": (3, 16)}, "bits among 32, 16, 8, 4, 2, 1, got 3"),
        ({"dims": (0,)}, "dim as a whole number"),
        ({"dims": (17,)}, "a dim from 1 to 16"),
        ({"pools": ("tokens=1",)}, "2 or more tokens"),
        ({"pools": ("nothing",)}, "a number as factor"),
        ({"factors": (0.5,), "dims": (8,)}, "pool factors of 1 or more"),
        ({"dims": (8,), "methods": ("hierarchical", "sequential")}, "one pooling method"),
        ({"dims": (8,), "index": "plaid"}, "name bits instead of an index"),
    ],
)
def test_what_cannot_be_is_refused_before_a_text_is_encoded(tiny_collection, fake_encoder, change, sentence) -> None:
    fresh = prepare(tiny_collection, fake_encoder)
    fresh.encode = lambda *_: pytest.fail("encoded")  # type: ignore[method-assign]
    with pytest.raises((InputError, UnsupportedError), match=sentence):
        next(pool_study(fresh, **change))


def test_every_point_is_measured_once_and_held_to_all_vectors(points, prepared) -> None:
    assert len(points) == 5 * 3 * 2
    assert len({point.run.id for point in points}) == len(points)  # 16 dimensions are all, not another point
    assert {(point.dim, point.bits) for point in points} == {(dim, bits) for dim in (4, 8, 16) for bits in (16, 4)}
    assert {point.label for point in points} == {"1", "2", "4", "once", "tokens=3"}
    full = points[0]
    assert (full.label, full.dim, full.bits) == ("1", 16, 16)
    for point in points:
        assert point.before is full.run
        assert point.difference.mean == pytest.approx(point.mean["ndcg@10"] - full.mean["ndcg@10"])
    few = next(point for point in points if (point.label, point.dim, point.bits) == ("1", 4, 16))
    assert few.bytes_each == few.bytes / 8 < full.bytes_each
    assert few.name == "factor 1, 4 dimensions, 16 bits"


def test_a_study_that_was_stopped_goes_on(prepared) -> None:
    begun = pool_study(prepared, factors=(3,), dims=(4,), pools=("tokens=5",), seed=3)
    first = [next(begun), next(begun)]
    begun.close()
    again = list(pool_study(prepared, factors=(3,), dims=(4,), pools=("tokens=5",), seed=3))
    assert [point.run.reused for point in again] == [True, True, *[False] * (len(again) - 2)]
    assert [point.run.id for point in again[:2]] == [point.run.id for point in first]


def test_the_best_under_a_budget_is_a_measured_point_that_fits(points) -> None:
    sizes = sorted(point.bytes for point in points)
    for most in (sizes[0] - 1, sizes[0], sizes[len(sizes) // 2], sizes[-1]):
        best = best_under(points, most)
        fit = [point for point in points if point.bytes <= most]
        assert (best is None) == (not fit)
        if best is not None:
            assert best in fit
            assert best.mean["ndcg@10"] == max(point.mean["ndcg@10"] for point in fit)
            equal = [point.bytes for point in fit if point.mean == best.mean]
            assert best.bytes <= min(equal)


@pytest.mark.parametrize(
    ("text", "most"), [("2MB", 2e6), ("1.5 kB", 1500), ("256B/document", 2560), ("1kB / document", 1e4), ("3GB", 3e9)]
)
def test_a_budget_is_read_with_its_unit(text: str, most: float) -> None:
    assert bytes_of_budget(text, 10) == most


@pytest.mark.parametrize("text", ["2", "MB", "-2MB", "0B", "nanMB", "infMB", "2MB/query", "two MB", ""])
def test_a_budget_without_a_number_or_a_unit_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a budget such as 2MB"):
        bytes_of_budget(text, 10)


def test_a_recommendation_tries_budgets_with_every_way_that_keeps_all_vectors() -> None:
    plain, more = tried(BASE, ("exact", "plaid")), tried(BASE, ("exact", "plaid"), ("tokens=64", "factor=2"))
    assert more[: len(plain)] == plain
    added = more[len(plain) :]
    assert {entry.index for entry in added} == {"exact", "plaid"}
    assert {str(entry.pooling) for entry in added} == {"tokens=64", "factor=2"}
    assert len(more) == len({(e.index, str(e.settings), e.pooling) for e in more})


def test_the_figure_draws_points_lines_and_the_budget(points) -> None:
    most = sorted(point.bytes for point in points)[10]
    figure: Any = figures.budget_curves(points, most)
    traces = {trace.name: trace for trace in figure.data if trace.name}
    assert [name for name in traces if "dimensions" in name] == ["16 dimensions", "8 dimensions", "4 dimensions"]
    drawn = sorted(x for name in traces if "dimensions" in name for x in traces[name].x)
    assert drawn == pytest.approx(sorted(point.bytes / 1e6 for point in points))
    best = best_under(points, most)
    assert best is not None
    marked = traces["best under the budget"]
    assert (marked.x[0], marked.y[0]) == (best.bytes / 1e6, best.mean["ndcg@10"])
    assert figure.layout.shapes[0].x0 == most / 1e6
    assert math.isclose(10 ** figure.layout.annotations[0].x, most / 1e6)
    nothing: Any = figures.budget_curves(points, 1.0)
    assert "best under the budget" not in {trace.name for trace in nothing.data}
    with pytest.raises(InputError, match="one collection"):
        figures.budget_curves([])
