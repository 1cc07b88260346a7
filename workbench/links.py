"""Addresses of the browser pages: a notebook hands over its state, and the page opens in it."""

from __future__ import annotations

from urllib.parse import urlencode

from engine.errors import InputError

PORT = 7860  # where `workbench ui` answers unless told otherwise
PAGES = {"search": "", "pool": "pool", "indexes": "indexes", "xray": "xray", "train": "train"}  # name -> path


def page_address(page: str, port: int = PORT, **state: object) -> str:
    """The address that opens a page of `workbench ui` in a state.

    Args:
        page: "search", "pool", "indexes", "xray" or "train".
        port: Where `workbench ui` answers.
        state: What the page keeps in its address, such as `q` and `doc` of the search page; None and "" are left out.

    Returns:
        The address, on this machine.

    Raises:
        InputError: no such page.
    """
    if page not in PAGES:
        raise InputError(f"Expected a page of {', '.join(PAGES)}, got {page!r}: choose one of them.")
    query = urlencode({name: value for name, value in state.items() if value not in (None, "")})
    return f"http://127.0.0.1:{port}/{PAGES[page]}{'?' + query if query else ''}"
