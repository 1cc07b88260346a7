"""What commands print holds for any value."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from workbench.cli.output import show_json


def test_json_holds_no_nan_and_says_where_one_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "mean": {"a": math.nan, "b": 0.5},
        "list": (1, np.float32(2.0), np.inf),
        "path": Path("x"),
        3: np.arange(2),
    }
    show_json(value, tmp_path / "out.json")
    text = (tmp_path / "out.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "mean": {"a": None, "b": 0.5}, "list": [1, 2.0, None], "path": "x", "3": [0, 1],
    }  # fmt: skip
    assert "2 values are no finite numbers and stand as null, first mean.a" in capsys.readouterr().err
