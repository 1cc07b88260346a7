"""The command that repeats a study."""

from __future__ import annotations

import shlex
from typing import Any


def command_for(command: str, source: tuple[str, str] | None, **options: Any) -> str:
    """The command line that repeats a study; nothing for vectors that only exist in memory.

    Args:
        command: Its name, such as "compare-indexes".
        source: Names of collection and model.
        options: Name -> value, in the order of the line; None leaves an option out, each of several values repeats it.

    Returns:
        The command.
    """
    if source is None:
        return ""
    words = ["workbench", command, "--collection", source[0], "--model", source[1]]
    for name, given in options.items():
        for value in given if isinstance(given, (list, tuple)) else [given]:
            words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
