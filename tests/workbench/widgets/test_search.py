"""The search widget: a question changes the list, a choice changes the explanation, a second one the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Collection
from engine.errors import InputError
from workbench.widgets import SearchWidget
from workbench.workspace import open_workspace


@pytest.fixture
def widget(fake_encoder, tiny_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchWidget:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    return SearchWidget(workspace, "index of the largest value", k=3)


def test_shows_the_ranking_and_explains_the_first(widget: SearchWidget) -> None:
    assert widget.chosen is not None
    assert widget.chosen.id == "argmax"
    assert [name for _, name in widget.hits.options] == [hit.id for hit in widget.result.hits]
    assert f"{widget.chosen.score:.3f}" in widget.score.value
    assert "largest" in widget.prose.value


def test_another_question_finds_other_documents(widget: SearchWidget) -> None:
    widget.question.value = "arithmetic average"
    assert widget.chosen is not None
    assert widget.chosen.id == "mean"
    assert len(widget.figure.children[0].data[0].z) == 2  # a row a question token


def test_choosing_a_document_explains_it_and_a_second_shows_the_difference(widget: SearchWidget) -> None:
    second = widget.result.hits[1]
    widget.hits.value = second.id
    assert f"{second.score:.3f}" in widget.score.value
    widget.against.value = "argmax"
    difference = widget.figure.children[0].data[0].x
    assert sum(difference) == pytest.approx(second.score - widget.result.hits[0].score, abs=1e-2)


def test_an_empty_question_says_why_and_keeps_the_list(widget: SearchWidget) -> None:
    before = widget.hits.options
    widget.question.value = " "
    assert "Expected a question" in widget.status.value
    assert widget.hits.options == before


def test_an_impossible_start_is_an_error(widget: SearchWidget) -> None:
    with pytest.raises(InputError):
        SearchWidget(widget.workspace, "value", k=0)


def test_a_viewer_without_widgets_gets_the_ranking(widget: SearchWidget) -> None:
    bundle = widget._repr_mimebundle_()
    assert bundle is not None
    page = str(bundle["text/html"])
    assert "<script" not in page
    assert page.count("<li>") == len(widget.result.hits)
