"""Figures on their way to a page: Python draws them once, and the page's colours are those of the dark theme."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from plotly.offline import get_plotlyjs
from starlette.applications import Starlette
from starlette.testclient import TestClient

from apps.plotting import dark_colours, drawn, route, settings_script
from engine.explain import align
from workbench import figures

EVENTS = [
    *({"step": step, "loss": 1 / step} for step in range(1, 9)),
    *({"step": step, "ndcg": 0.4 + step / 100, "low": 0.3, "high": 0.6} for step in (0, 4, 8)),
]


def dark(text: str) -> str:
    """What `LIW.coloured` does; its own test is beside the scripts."""
    colours = dark_colours()
    return re.sub(r"#[0-9a-f]{6}\b|rgba\(\d+,\d+,\d+,", lambda found: colours.get(found[0], found[0]), text)


@pytest.mark.parametrize("name", ["training_curves", "latencies", "contributions", "maxsim_heatmap"])
def test_the_light_figure_in_other_colours_is_the_dark_one(name: str, fake_encoder) -> None:
    question, text = "the largest value", "Return the largest value of an array"
    vectors = fake_encoder.encode_query([question, text])
    pair = align(vectors[0], vectors[1], *(fake_encoder.tokens(part, "query") for part in (question, text)))
    made = {
        "training_curves": lambda theme: figures.training_curves(EVENTS, theme=theme, last=20),
        "latencies": lambda theme: figures.latencies({"a": [1.0, 2.0], "b": np.array([3.0])}, theme=theme),
        "contributions": lambda theme: figures.contributions(pair, theme=theme),
        "maxsim_heatmap": lambda theme: figures.maxsim_heatmap(pair, 1, theme),
    }[name]
    light = drawn(made("light"))
    assert json.loads(dark(light)) == json.loads(drawn(made("dark")))
    assert light != drawn(made("dark"))


def test_a_figure_carries_no_template_and_its_note_as_text() -> None:
    layout = json.loads(drawn(figures.training_curves(EVENTS)))["layout"]
    assert "template" not in layout
    assert layout["meta"]["note"] == "Each row: one quantity at the steps where it was measured."


def test_the_interval_of_a_quality_is_a_band_around_it() -> None:
    traces: list[Any] = list(figures.training_curves(EVENTS, ["ndcg@10"], last=20).data)
    (filled,) = (trace for trace in traces if trace.fill)
    assert set(filled.y) == {0.3, 0.6}


def test_plotly_comes_from_this_machine_packed_or_not() -> None:
    client = TestClient(Starlette(routes=[route()]))
    path = re.search(r'"path": "([^"]+)"', settings_script())
    assert path
    packed = client.get(path[1])
    assert packed.text == get_plotlyjs()
    assert packed.headers["content-encoding"] == "gzip"
    assert "immutable" in packed.headers["cache-control"]
    assert int(packed.headers["content-length"]) < len(gzip.compress(get_plotlyjs().encode(), 1))
    plain = client.get(path[1], headers={"Accept-Encoding": "identity"})
    assert plain.text == packed.text
    assert "content-encoding" not in plain.headers
