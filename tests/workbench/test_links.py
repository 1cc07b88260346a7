"""Addresses of pages: the state survives whatever it holds."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.errors import InputError
from workbench.links import page_address


def test_the_state_comes_back_as_it_was() -> None:
    address = page_address("search", port=8080, q="größer & kleiner? <b>", doc="a/b#c", token=None, vs="")
    parts = urlsplit(address)
    assert (parts.netloc, parts.path) == ("127.0.0.1:8080", "/")
    assert parse_qs(parts.query) == {"q": ["größer & kleiner? <b>"], "doc": ["a/b#c"]}


@pytest.mark.parametrize("page", ["search", "pool", "indexes", "xray", "train", "images", "learn", "own"])
def test_a_page_without_state_has_a_bare_address(page: str) -> None:
    assert page_address(page) == f"http://127.0.0.1:7860/{'' if page == 'search' else page}"


def test_an_unknown_page_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="search, pool, indexes, systems, xray, train, images, learn, own"):
        page_address("serach")


def test_a_link_waits_for_no_user_interface() -> None:
    code = "import sys; from workbench.links import page_address; page_address('pool'); print('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
