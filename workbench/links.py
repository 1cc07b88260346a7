"""Addresses of the browser pages: how a server may be called, and how a page opens in a state."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from engine import plugins
from engine.errors import InputError

APPS = "late_interaction.apps"  # name -> function or module of the pages
PORT = 7860  # where `workbench ui` answers unless told otherwise
AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::(\d{1,5}))?")  # a name or address, in small letters


def check_public_name(name: str) -> str:
    """Check a name under which a proxy in front asks a server.

    Args:
        name: "name" or "name:port".

    Returns:
        It, in small letters.

    Raises:
        InputError: anything else, such as an address with https:// in front.
    """
    if not AUTHORITY.fullmatch(name.lower()):
        raise InputError(f"Expected a public name such as search.example.com, got {name!r}: leave out the rest.")
    return name.lower()


def registered(name: str) -> Any:
    """What an application registered, since it lives above this package.

    Raises:
        InputError: nothing is registered under this name.
    """
    found = plugins.find(APPS, name)
    if found is None:
        raise InputError(f"The pages are not registered ({name}): install this project again.")
    return found


def page_address(page: str, port: int = PORT, **state: object) -> str:
    """The address that opens a page of `workbench ui` in a state.

    Args:
        page: Its name, such as "search", "pool" or "xray".
        port: Where `workbench ui` answers.
        state: What the page keeps in its address, such as `q` and `doc` of the search page; None and "" are left out.

    Returns:
        The address, on this machine.

    Raises:
        InputError: no such page; the sentence lists those that there are.
    """
    paths = {known.name: known.path for known in registered("pages")()}
    if page not in paths:
        raise InputError(f"Expected a page of {', '.join(paths)}, got {page!r}: choose one of them.")
    query = urlencode({name: value for name, value in state.items() if value not in (None, "")})
    return f"http://127.0.0.1:{port}/{paths[page]}{'?' + query if query else ''}"
