"""What is the address of a cluster."""

from __future__ import annotations

import re

LOCAL = "local"  # one of its own on this machine
AUTO = "auto"  # one that was started on this machine
_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")
_MEANT = re.compile(r"ray://\S+|\d{1,3}(?:\.\d{1,3}){3}(?::\S*)?")  # that of a client, or a machine without its port


def is_address(text: str) -> bool:
    """Whether a word is host:port, or "auto"."""
    return text == AUTO or _ADDRESS.fullmatch(text) is not None


def is_meant_as_address(text: str) -> bool:
    """Whether a word behind --ray is an address, be it a wrong one, rather than a word of the command."""
    return is_address(text) or _MEANT.fullmatch(text) is not None
