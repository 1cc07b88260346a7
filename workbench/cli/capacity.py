"""The command that plans for large collections: `plan`."""

from __future__ import annotations

import re
from typing import Annotated

from typer import Option

from engine.errors import InputError
from workbench.cli.options import JsonOption, Several
from workbench.cli.output import note, show_json, show_table

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
SIZES = (1e7, 1e8, 1e9)
NOT = " (too much)"


def plan(
    documents: Annotated[
        Several, Option(help="Repeatable: how many documents, 1e8 or 100M; 1e7, 1e8 and 1e9 if not given.")
    ] = None,
    tokens: Annotated[float, Option(help="Vectors a document, after pooling.")] = 80.0,
    dim: Annotated[int, Option(help="Dimensions of a vector.")] = 128,
    bits: Annotated[int, Option(help="Bits a dimension that PLAID stores.")] = 4,
    nodes: Annotated[int, Option(help="Machines; 0 takes as few as hold the index in memory.")] = 0,
    memory: Annotated[str, Option(help="Memory of a machine, 64G.")] = "64G",
    cores: Annotated[int, Option(help="Processors of a machine; a shard alone on one takes twice as long.")] = 16,
    rate: Annotated[float, Option(help="Tokens that a machine encodes in a second; 0 takes what was measured.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Say what a large collection needs, machines, memory, disk, time of a query and of a build, with the assumptions.

    Nothing is run: measured parts are put together, and a query waits for the slowest of its shards.

    Example: `workbench plan --documents 1e8 --tokens 80`
    """
    from workbench.capacity import Wanted, assumptions
    from workbench.capacity import plan as put_together

    sizes = [_amount("documents", text) for text in documents or ()] or SIZES
    room = _amount("memory", memory)
    found = [put_together(Wanted(size, tokens, dim, bits, nodes, room, cores, rate)) for size in sizes]
    told = assumptions()
    if as_json:
        show_json({"plans": [entry.to_dict() for entry in found], "assumptions": told})
        return
    rows = [
        ("machines", *(f"{entry.nodes:,}" for entry in found)),
        ("shards", *(f"{entry.shards:,}" for entry in found)),
        ("million vectors a shard", *(f"{entry.shard_tokens / 1e6:,.1f}" for entry in found)),
        ("index, GB", *(f"{entry.index_bytes / 1e9:,.0f}" for entry in found)),
        ("disk while building, GB", *(f"{entry.build_disk_bytes / 1e9:,.0f}" for entry in found)),
        ("memory a machine, GB", *(f"{entry.node_memory_bytes / 1e9:,.1f}{NOT * (not entry.fits)}" for entry in found)),
        *((f"a query, ms, {name}", *(f"{entry.query_ms[name]:.1f}" for entry in found)) for name in found[0].query_ms),
        ("hours to encode", *(f"{entry.encode_hours:,.1f}" for entry in found)),
        ("hours to build", *(f"{entry.build_hours:,.2f}" for entry in found)),
    ]
    title = (
        f"{tokens:g} vectors a document, {dim} dimensions, {bits} bits; machines of {room / 1e9:g} GB and {cores} "
        "processors"
    )
    show_table(title, ("documents", *(f"{entry.wanted.documents:,.0f}" for entry in found)), rows)
    for sentence in told:
        note(sentence)


def _amount(name: str, text: str) -> float:
    """A number such as 1e8, 100M or 64G."""
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE]\+?\d+)?)\s*([kKmMgGtT]?)[bB]?\s*", text)
    try:
        if found is not None:
            return float(found[1]) * UNITS[found[2].lower()]
    except ValueError:
        pass
    raise InputError(f"Expected {name} as a number such as 1e8, 100M or 64G, got {text!r}: correct it.")
