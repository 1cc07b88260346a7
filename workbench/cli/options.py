"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CollectionOption = Annotated[
    str,
    typer.Option("--collection", help="A BEIR folder, a file of texts, a folder of .txt/.md files, a name, irds:NAME."),
]
ModelOption = Annotated[str, typer.Option("--model", help="embedded, a model folder, or a name on the hub.")]
IndexOption = Annotated[str, typer.Option("--index", help="Kind of index: exact, plaid, hnsw, fast-plaid, ...")]
KOption = Annotated[int, typer.Option("--k", help="Documents a query.", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OutputOption = Annotated[Path | None, typer.Option("--output", help="Write the result to this file, as JSON.")]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen on; beyond loopback only with a login.")]
PortOption = Annotated[int, typer.Option("--port", help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
PublicOption = Annotated[
    list[str] | None,
    typer.Option("--public-name", help="A name under which a proxy in front is asked; may be given several times."),
]
NoBrowserOption = Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")]
