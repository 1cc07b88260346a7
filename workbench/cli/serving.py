"""The commands for programs: `serve` over HTTP, `mcp` over standard input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from workbench.cli.browser import app_of, free_port
from workbench.cli.options import DeviceOption, ModelOption, PublicOption, ScorerOption, Several
from workbench.cli.output import note, progress_bars

PORT = 8765
CollectionsOption = Annotated[
    Several,
    Option(
        "--collection", help="Repeatable: a collection to answer from; the first is meant where a request names none."
    ),
]
IndexesOption = Annotated[
    Several,
    Option(
        "--index",
        help="The kind of index over collections, plaid:bits=2; or, repeatable, a folder that `workbench index` wrote.",
    ),
]
SystemsOption = Annotated[
    Several,
    Option(
        "--system", help="Repeatable: a system over the first collection, built now and not when it is first asked for."
    ),
]


def serve(
    collection: CollectionsOption = None,
    index: IndexesOption = None,
    store: Annotated[
        Path | None,
        Option(help="Folder in which requests may make, change and remove collections; without it they may not."),
    ] = None,
    model: ModelOption = "embedded",
    scorer: ScorerOption = "index",
    system: SystemsOption = None,
    device: DeviceOption = "auto",
    host: Annotated[str, Option(help="Address to listen on; beyond this machine only with --key-file.")] = "127.0.0.1",
    port: Annotated[int, Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = PORT,
    key_file: Annotated[
        Path | None, Option(help="File with a key a line, or a name and a key; requests then need one of them.")
    ] = None,
    public_name: PublicOption = None,
    shared_batches: Annotated[
        bool,
        Option(
            "--shared-batches",
            help="Encode together what waits: faster, but numbers differ a little with who else asks.",
        ),
    ] = False,
    mcp: Annotated[bool, Option("--mcp", help="Also answer the Model Context Protocol, at /mcp.")] = False,
) -> None:
    """Answer programs over HTTP: encode, search, rerank, explain, trace, and collections that change; /docs lists all.

    Example: `workbench serve --collection ../scifact --index my-index/ --port 8765`
    """
    from workbench.served import Served

    what = Served.of(
        collection, index, store=store, model=model, scorer=scorer, systems=tuple(system or ()), device=device
    )  # fmt: skip
    port = free_port(host, port)
    start = app_of("api", "prometheus_client", "serve")
    with progress_bars() as report:
        server = start(what, host, port, key_file, public_name or (), shared_batches, mcp, report)
    note(f"Programs are answered at {server.url}, see {server.url}/docs (Ctrl+C ends it).")
    server.wait()


def mcp(
    collection: CollectionsOption = None,
    index: IndexesOption = None,
    model: ModelOption = "embedded",
    scorer: ScorerOption = "index",
    device: DeviceOption = "auto",
) -> None:
    """Let a language model search: the Model Context Protocol over standard input, with search, explain and trace.

    Example: `workbench mcp --collection papers/`
    """
    from workbench.served import Served

    what = Served.of(collection, index, model=model, scorer=scorer, device=device)
    speak = app_of("mcp", "mcp", "mcp")
    with progress_bars() as report:
        speak(what, report)
