"""What is the address of a cluster."""

from __future__ import annotations

import re

LOCAL = "local"  # one of its own on this machine
AUTO = "auto"  # one that was started on this machine
_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")


def is_address(text: str) -> bool:
    """Whether a word is host:port, or "auto"."""
    return text == AUTO or _ADDRESS.fullmatch(text) is not None
