import json
import shutil
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.errors import InputError
from engine.explain import align
from workbench import figures
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.views.indexes import IndexRow, derived


def drawn(figure: go.Figure) -> list[Any]:
    """The traces; plotly's own type for them knows no attribute of a trace."""
    return list(figure.data)


@pytest.fixture(scope="module")
def alignments(fake_encoder):
    question = "find the largest value"
    texts = ["Return the largest value of an array", "Find a file"]
    query, documents = fake_encoder.encode_query([question])[0], fake_encoder.encode_document(texts)
    tokens = fake_encoder.tokens(question, "query")
    return [align(query, documents[i], tokens, fake_encoder.tokens(texts[i], "document")) for i in range(2)]


@pytest.fixture(scope="module")
def records(tiny_collection, fake_encoder):
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    return list(pool_study(prepare(tiny_collection, documents=documents, queries=queries), factors=(2, 4, np.inf)))


def test_heatmap_holds_the_matrix_and_outlines_each_best_match(alignments) -> None:
    figure = figures.maxsim_heatmap(alignments[0])
    assert np.array_equal(drawn(figure)[0].z, alignments[0].similarity)
    outlined = [((shape.x0 + shape.x1) / 2, (shape.y0 + shape.y1) / 2) for shape in figure.layout.shapes]
    assert outlined == [(best, row) for row, best in enumerate(alignments[0].best)]


def test_contributions_add_up_to_the_score_in_the_title(alignments) -> None:
    figure = figures.contributions(alignments[0], other=alignments[1])
    assert sum(drawn(figure)[0].x) == pytest.approx(alignments[0].score)
    assert f"{alignments[0].score:.3f}" in figure.layout.title.text.replace("<br>", " ")
    assert sum(drawn(figure)[1].x) == pytest.approx(alignments[1].score)


def test_differences_add_up_and_are_sorted(alignments) -> None:
    figure = figures.contribution_difference(*alignments, names=("a", "b"))
    bars = list(drawn(figure)[0].x)
    assert sum(bars) == pytest.approx(alignments[0].score - alignments[1].score, abs=1e-5)
    assert bars == sorted(bars, reverse=True)


def test_alignments_of_two_questions_are_refused(alignments, fake_encoder) -> None:
    other = align(alignments[0].similarity, alignments[0].similarity, fake_encoder.tokens("a b c d", "query"), [])
    with pytest.raises(InputError, match="one question"):
        figures.contribution_difference(alignments[0], other)


def test_pool_curve_draws_each_record(records) -> None:
    figure = figures.pool_curve(records, chosen=4)
    line = drawn(figure)[1]
    assert list(line.y) == [record.mean["ndcg@10"] for record in records]
    marks = list(line.marker.color)
    assert marks[2] == figures.PALETTES["light"].chosen
    assert marks.count(marks[2]) == 1
    assert list(figure.layout.xaxis4.ticktext) == ["1", "2", "4", "one"]


def test_trade_off_groups_by_method_and_bits(records) -> None:
    figure = figures.trade_off(records)
    assert [trace.name for trace in drawn(figure) if trace.name] == ["hierarchical, 16 bits"]
    assert list(drawn(figure)[1].x) == pytest.approx([record.bytes / 1e6 for record in records])


def test_frontier_keeps_what_no_other_beats() -> None:
    assert figures.pareto_front([1, 2, 3, 4, 1], [0.5, 0.4, 0.9, 0.9, 0.5]) == [0, 2]
    points = [
        {"name": "a", "ms": 1.0, "r": 0.5},
        {"name": "b", "ms": 5.0, "r": 0.4},
        {"name": "c", "ms": 9.0, "r": 1.0},
    ]
    figure = figures.frontier(points, "ms", "r", chosen="b", axes={"ms": figures.Axis("time", "ms")})
    assert list(drawn(figure)[0].x) == [1, 9]
    assert list(drawn(figure)[1].marker.color)[1] == figures.PALETTES["light"].chosen
    assert [own[0] for own in drawn(figure)[1].customdata] == ["a", "b", "c"]  # what a click tells a page
    groups = [{**point, "side": point["name"] == "c"} for point in points]
    modes = [
        [trace.mode for trace in drawn(figures.frontier(groups, "ms", "r", group="side", joined=joined))[1:]]
        for joined in (True, False)
    ]
    assert modes == [["lines+markers+text", "markers+text"], ["markers+text", "markers+text"]]


def test_frontier_names_the_field_that_is_no_number() -> None:
    with pytest.raises(InputError, match="'ms'"):
        figures.frontier([{"name": "a", "r": 1.0}], "ms", "r")


def test_query_differences_count_and_sort() -> None:
    before, after = {"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 0.9, "b": 0.1, "c": 0.52}
    figure = figures.query_differences(before, after, ("first", "second"), queries={"a": "a question"})
    assert "1 queries better, 1 worse" in figure.layout.title.text.replace("<br>", " ")
    assert list(drawn(figure)[0].y) == pytest.approx([0.4, 0.02, -0.4])
    with pytest.raises(InputError, match="same queries"):
        figures.query_differences(before, {"a": 1.0})


def test_latencies_mark_median_and_95th_percentile() -> None:
    times = np.arange(1.0, 101.0)
    figure = figures.latencies({"exact": times})
    assert list(drawn(figure)[1].x) == pytest.approx(list(np.percentile(times, [50, 95])))
    with pytest.raises(InputError, match="at least one question"):
        figures.latencies({"exact": []})


def test_training_curves_draw_one_row_a_quantity() -> None:
    events = [{"step": i, "loss": 1 / i, "total": 9} for i in (1, 2, 3)] + [{"step": 3, "metrics": {"ndcg@10": 0.4}}]
    figure = figures.training_curves(events)
    assert [trace.name for trace in drawn(figure) if trace.name] == ["loss", "ndcg@10"]
    assert list(drawn(figure)[0].y) == [1, 1 / 2, 1 / 3]
    with pytest.raises(InputError, match="no 'speed'"):
        figures.training_curves(events, quantities=["speed"])
    with pytest.raises(InputError, match="none"):
        figures.training_curves([])


def test_both_themes_use_their_own_colours(records) -> None:
    light, dark = (figures.pool_curve(records, theme=theme) for theme in ("light", "dark"))
    assert light.layout.paper_bgcolor == figures.PALETTES["light"].card
    assert dark.layout.paper_bgcolor == figures.PALETTES["dark"].card
    with pytest.raises(InputError, match="light or dark"):
        figures.palette("sepia")


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out_from_the_card(theme: str) -> None:
    colours = figures.PALETTES[theme]
    card = _luminance(colours.card)

    def contrast(colour: str) -> float:
        low, high = sorted((_luminance(colour), card))
        return (high + 0.05) / (low + 0.05)

    assert contrast(colours.ink) >= 7
    assert contrast(colours.soft) >= 4.5
    assert all(contrast(colour) >= 3 for colour in (*colours.series, colours.accent, colours.chosen))


def test_html_opens_offline(records, tmp_path) -> None:
    page = figures.export_html(figures.pool_curve(records), tmp_path / "curve.html").read_text(encoding="utf-8")
    assert "plotly.js v" in page
    assert '<script src="http' not in page
    assert "What pooling costs on tiny" in page
    with pytest.raises(InputError, match=r"ending in \.html"):
        figures.export_html(figures.pool_curve(records), tmp_path / "curve.pdf")
    with pytest.raises(InputError, match="is no folder"):
        figures.export_html(figures.pool_curve(records), tmp_path / "nowhere" / "curve.html")


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a Chromium on this machine")
def test_svg_is_written(records, tmp_path) -> None:
    path = figures.export_image(figures.pool_curve(records), tmp_path / "curve.svg", width=375)
    assert path.read_text(encoding="utf-8").lstrip().startswith("<svg")


def test_figures_serialise(records, alignments) -> None:
    for figure in (figures.pool_curve(records), figures.maxsim_heatmap(alignments[0], row=1)):
        assert json.loads(str(figure.to_json()))["data"]


def index_record(kind: str, point: str, p50: float, recall: float, size: int, **changes: Any) -> IndexRow:
    return IndexRow(derived({
        "kind": kind, "point": point, "collection": "made", "documents": 10, "tokens": 100, "k": 100, "error": "",
        "recall_10": recall, "recall_100": recall, "bytes": size, "build_seconds": 1.0, "latencies_ms": [p50],
        **changes,
    }))  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_index_frontier_shows_bytes_as_area_and_matched_marks_hollow(theme) -> None:
    records = [
        index_record("exact", "as given", 10.0, 1.0, 19200),
        index_record("plaid", "as given", 2.0, 0.97, 4800),
        index_record("plaid", "matched", 1.0, 0.95, 4800),
        index_record("hnsw", "as given", 0.0, 0.0, 0, error="not installed", latencies_ms=[]),
    ]
    figure = figures.index_frontier(records, theme=theme)
    marks: dict[str, Any] = {t.customdata[0][1]: t.marker for t in cast(Any, figure.data) if t.customdata}
    assert set(marks) == {"exact, 192 bytes a token", "plaid, 48 bytes a token", "plaid, matched, 48 bytes a token"}
    exact, plaid = marks["exact, 192 bytes a token"], marks["plaid, 48 bytes a token"]
    assert exact.size == 2 * plaid.size  # four times the area
    assert exact.symbol != plaid.symbol
    assert marks["plaid, matched, 48 bytes a token"].color == figures.palette(theme).card
    assert max(figure.layout.yaxis.tickvals) == 1
    assert "R@100" in figure.layout.yaxis.title.text
    with pytest.raises(InputError, match="with numbers"):
        figures.index_frontier(records[3:])
    with pytest.raises(InputError, match="recall_10, recall_100"):
        figures.index_frontier(records, "speed")


def test_a_long_document_is_a_strip_and_one_passage(fake_encoder) -> None:
    from engine import explain
    from engine.explain import most_telling, stretches

    text = "Ships wait for wind. " * 300 + "Find the largest value. " + "Ships wait for wind. " * 100
    alignment = explain(fake_encoder, "find the largest value", text)
    parts = stretches(alignment)
    number = most_telling(parts)
    figure = figures.maxsim_heatmap(alignment)
    matrix, strip = drawn(figure)
    assert np.array_equal(matrix.z, alignment.similarity[:, parts[number].columns])
    assert sum(strip.y) == pytest.approx(alignment.score, abs=1e-4)
    assert len(figure.layout.shapes) == 4  # all best matches are in this passage
    assert f"{number + 1} of {len(parts)}" in figure.layout.title.text.replace("<br>", " ")
    assert len(str(figure.to_json())) < 200_000
    other = figures.maxsim_heatmap(alignment, passage=0, theme="dark")
    assert np.array_equal(drawn(other)[0].z, alignment.similarity[:, parts[0].columns])
    assert not other.layout.shapes
    with pytest.raises(InputError, match=f"{len(parts) - 1}"):
        figures.maxsim_heatmap(alignment, passage=len(parts))
    with pytest.raises(InputError, match="leave it out"):
        figures.maxsim_heatmap(explain(fake_encoder, "a value", "a short text"), passage=0)
