"""The explanation widget: an edit changes the score, the sum and the static page that stands for it."""

from __future__ import annotations

import asyncio
import re

import pytest

from engine import explain
from engine.errors import InputError
from workbench.widgets import ExplanationWidget

QUESTION, TEXT = "index of the largest value", "Return the index of the <largest> value along an axis"


@pytest.fixture
def widget(fake_encoder) -> ExplanationWidget:
    return ExplanationWidget(fake_encoder, QUESTION, TEXT)


def shown_score(widget: ExplanationWidget) -> float:
    match = re.search(r'class="workbench-score"[^>]*>([-\d.]+)', widget.score.value)
    assert match
    return float(match.group(1))


def test_the_chips_add_up_to_the_score(widget: ExplanationWidget) -> None:
    parts = [float(value) for value in re.findall(r"</code> ([-\d.]+)</span>", widget.score.value)]
    assert len(parts) == len(QUESTION.split())
    assert sum(parts) == pytest.approx(shown_score(widget), abs=0.01 * len(parts))


@pytest.mark.parametrize("side", ["question", "text"])
def test_an_edit_changes_the_score(widget: ExplanationWidget, fake_encoder, side: str) -> None:
    before = shown_score(widget)
    getattr(widget, side).value = "index of the smallest sum"
    expected = explain(fake_encoder, widget.question.value, widget.text.value).score
    assert shown_score(widget) == pytest.approx(expected, abs=1e-3)
    assert shown_score(widget) != before
    figure = widget.matrix.children[0]
    assert len(figure.data[0].z) == len(widget.question.value.split())


def test_only_the_last_of_fast_edits_is_scored(widget: ExplanationWidget, fake_encoder) -> None:
    async def type_three_letters() -> None:
        before = widget.alignment
        for text in ("i", "in", "index value"):
            widget.text.value = text
            await asyncio.sleep(0)
        assert widget.alignment is before
        await asyncio.sleep(0.5)

    asyncio.run(type_three_letters())
    assert len(widget.alignment.document_tokens) == 2
    assert shown_score(widget) == pytest.approx(explain(fake_encoder, QUESTION, "index value").score, abs=1e-3)


def test_an_empty_text_says_why_and_the_next_edit_scores_again(embedded_encoder) -> None:
    widget = ExplanationWidget(embedded_encoder, QUESTION, TEXT)
    widget.text.value = "  "
    assert "Expected a text" in widget.score.value
    widget.text.value = "the largest value"
    assert shown_score(widget) == pytest.approx(
        explain(embedded_encoder, QUESTION, "the largest value").score, abs=1e-3
    )


def test_an_empty_start_is_an_error(embedded_encoder) -> None:
    with pytest.raises(InputError):
        ExplanationWidget(embedded_encoder, QUESTION, "")


def test_a_chosen_token_underlines_its_best_match(widget: ExplanationWidget) -> None:
    widget.token.value = 3
    underlined = re.findall(r"border-bottom[^>]*>([^<]+)", widget.prose.value)
    assert underlined == ["largest"]
    widget.question.value = "value"
    assert widget.token.value == -1


def test_a_viewer_without_widgets_gets_the_numbers(widget: ExplanationWidget) -> None:
    bundle = widget._repr_mimebundle_()
    assert bundle is not None
    page = str(bundle["text/html"])
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "<script" not in page
    assert f"{widget.alignment.score:.3f}" in page
    assert "<largest>" not in page
    assert page.count("<tr") == 1 + len(widget.alignment.query_tokens)


def test_a_long_text_has_a_menu_of_passages(fake_encoder) -> None:
    text = "Ships wait for wind. " * 300 + "The index of the largest value. " + "Ships wait for wind. " * 100
    widget = ExplanationWidget(fake_encoder, QUESTION, text)
    assert widget.passage.layout.display is None
    assert "largest" in widget.prose.value
    assert len(widget.prose.value) < 60_000
    assert "Passage" in widget.static_html()
    first = widget.matrix.children[0].data[0].z.shape
    widget.passage.value = 0
    assert "largest" not in widget.prose.value
    assert widget.prose.value.count("Ships") > 10
    assert widget.matrix.children[0].data[0].z.shape[0] == first[0]
    widget.text.value = TEXT
    assert widget.passage.layout.display == "none"
    assert widget.matrix.children[0].data[0].z.shape[1] == len(fake_encoder.tokens(TEXT, "document"))
