"""The command that publishes a collection as a folder of static files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from workbench.cli.options import CollectionOption, DeviceOption, JsonOption, ModelOption, PoolOption
from workbench.cli.output import out, progress_bars, show_json
from workbench.links import registered


def publish(
    output: Annotated[Path, Option(help="A new folder for the site, or a site to replace.")],
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    dim: Annotated[
        int | None, Option(help="Dimensions to keep, for a model with nested ones; all if not given.", min=1)
    ] = None,
    pool: PoolOption = "",
    pool_factor: Annotated[float | None, Option(hidden=True, min=1)] = None,
    bits: Annotated[int, Option(help="Bits a dimension, 2 to 12.")] = 8,
    questions: Annotated[int, Option(help="How many questions of the collection are answered beforehand.", min=1)] = 12,
    lessons: Annotated[bool, Option("--lessons/--no-lessons", help="Whether the lessons are in it.")] = True,
    no_model: Annotated[
        bool,
        Option("--no-model", help="Leave the model out: only finished searches can be read, and npm is not needed."),
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write a collection as a folder of static files, which any web server hands out and a browser searches by itself.

    Example: `workbench publish --collection my-documents --output site/`
    """
    from dataclasses import asdict

    from engine.pooling import parse_pool

    pooling = parse_pool(",".join(filter(None, [f"factor={pool_factor:g}" if pool_factor else "", pool])))
    with progress_bars() as report:
        site = registered("publish")(
            output, collection, model, dim, str(pooling), bits, lessons, not no_model, questions, device, report
        )  # fmt: skip
    if as_json:
        show_json({**asdict(site), "folder": str(site.folder)})
        return
    out.print(
        f"{site.folder}: {site.bytes / 1e6:.1f} MB, {site.documents:,} documents, {site.tokens:,} vectors of "
        f"{site.dim} dimensions in {site.bits} bits; pages {', '.join(site.pages)}."
    )
    out.print(f"Look at it: python -m http.server --bind 127.0.0.1 --directory {site.folder}")
