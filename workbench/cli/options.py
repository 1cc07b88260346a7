"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import InputError
from engine.files import require_place
from workbench.links import check_public_name

CollectionOption = Annotated[
    str,
    typer.Option("--collection", help="A BEIR folder, a file of texts, a folder of .txt/.md files, a name, irds:NAME."),
]
ModelOption = Annotated[str, typer.Option("--model", help="embedded, a model folder, or a name on the hub.")]
IndexOption = Annotated[
    str, typer.Option("--index", help="Kind of index, and settings: exact, plaid, plaid:bits=2, hnsw, ...")
]
KOption = Annotated[int, typer.Option("--k", help="Documents a query.", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ScorerOption = Annotated[
    str,
    typer.Option("--scorer", help="What ranks: index; exact (MaxSim on the original vectors), xtr, smooth-maxsim, ..."),
]
SameIdsOption = Annotated[
    str,
    typer.Option(
        "--same-ids",
        help="A document with its question's id counts as found: auto, leave-out (as BEIR has it), keep.",
        callback=lambda value: value.replace("-", " "),
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Measure again what is there already.")]


def check_place(path: Path | None) -> Path | None:
    """Refuse a file that could not be written, before the work; folders on the way are made when it is written.

    Raises:
        InputError: it is a folder, or its folder can neither be written nor made.
    """
    if path is None:
        return None
    require_place(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file, such as {path / 'result.json'}.")
    return path


OutputOption = Annotated[
    Path | None, typer.Option("--output", help="Write the result to this file, as JSON.", callback=check_place)
]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen on; beyond loopback only with a login.")]
PortOption = Annotated[int, typer.Option("--port", help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
PublicOption = Annotated[
    list[str] | None,
    typer.Option(
        "--public-name",
        help="A name under which a proxy in front is asked; may be given several times.",
        callback=lambda names: [check_public_name(name) for name in names or ()],  # before anything is loaded
    ),
]
NoBrowserOption = Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="Columns of the data, as query=question,positive=answer,negative=n1+n2,scores=."),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Judgements of the collection: test where they are there, else name one.")
]


def with_split_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a collection the option --split: the collection's name then ends with it.

    Args:
        command: With a parameter "collection" (a name or a list of names) or "development" (a name), or neither.

    Returns:
        The command with the option, or as it is where it takes no collection.
    """
    signature = inspect.signature(command, eval_str=True)
    name = next((name for name in ("collection", "development") if name in signature.parameters), None)
    if name is None:
        return command

    @functools.wraps(command)
    def wrapped(*, split: str | None = None, **options: Any) -> None:
        from engine.reading import with_split

        given = options[name]
        if split is not None and not given:
            raise InputError("Expected a collection for --split: name it with --collection.")
        one = isinstance(given, str)
        if split is not None:
            options[name] = with_split(given, split) if one else [with_split(entry, split) for entry in given]
        command(**options)

    option = inspect.Parameter("split", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=SplitOption)
    wrapped.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    del wrapped.__wrapped__  # typer would read the options of the function inside
    wrapped.__annotations__ = {entry.name: entry.annotation for entry in [*signature.parameters.values(), option]}
    return wrapped


def column_map(given: list[str] | None) -> dict[str, str]:
    """What --map says: role -> column.

    Args:
        given: Each "role=column,role=column".

    Returns:
        The mapping; an empty column means that there is none.

    Raises:
        InputError: a part is no role=column, or a role comes twice.
    """
    found: dict[str, str] = {}
    for part in (part.strip() for text in given or [] for part in text.split(",")):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not role or role in found:
            raise InputError(f"Expected --map as role=column once a role, got {part!r}: try query=question.")
        found[role] = column
    return found
