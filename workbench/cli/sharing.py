"""`--ray` and `--ray ADDRESS`: the same option for every command whose work can be shared out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from typer import Option

from workbench.cli.options import with_more
from workbench.cli.output import note
from workbench.cluster.addresses import LOCAL, is_meant_as_address

RAY = "--ray"
RayOption = Annotated[
    str,
    Option(
        RAY,
        metavar="[ADDRESS]",
        help="Share the work out with Ray: in a cluster of its own on this machine, or in the one at ADDRESS.",
    ),
]


def worded(arguments: Sequence[str]) -> list[str]:
    """Give --ray its address, which may be left out; a word behind it that is no address belongs to the command.

    Args:
        arguments: As typed.

    Returns:
        The same with --ray=local, or --ray=ADDRESS.
    """
    given, found = list(arguments), []
    while given:
        word = given.pop(0)
        if word == "--":
            return [*found, word, *given]
        if word == RAY:
            word = f"{RAY}={given.pop(0) if given and is_meant_as_address(given[0]) else LOCAL}"
        found.append(word)
    return found


def with_ray(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --ray: while it runs, what can be shared out is done by the cluster."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        address = options.pop("ray", "")
        if not address:
            command(**options)
            return
        from workbench.cluster.connect import connected

        with connected(address) as cluster:
            note(str(cluster))
            command(**options)

    return with_more(command, wrapped, {"ray": ("", RayOption)})
