"""The command that merges a trained model with the one that it was trained from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from engine.errors import InputError
from workbench.cli.options import DeviceOption, JsonOption, Several
from workbench.cli.output import note, progress_bars, show_json, show_table


def merge(
    model: Annotated[Path, Option(help="Folder of a trained model.")],
    base: Annotated[
        str | None, Option(help="The model that it was trained from; what its record says if not given.")
    ] = None,
    share: Annotated[float, Option(help="How far --output goes: 0 is the base, 1 the trained model.")] = 0.5,
    destination: Annotated[Path | None, Option("--output", help="Folder for the model at --share.")] = None,
    collection: Annotated[
        Several,
        Option(
            help="Repeatable: a collection on which every share is measured; give one that is new and one that is not."
        ),
    ] = None,
    shares: Annotated[str, Option(help="The shares that are measured.")] = "0,0.25,0.5,0.75,1",
    replace: Annotated[bool, Option("--replace", help="Replace the model that --output holds already.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Go a part of the way from a base to what training made of it: what is new is learned, what was known is kept.

    Example: `workbench merge --model my-model --collection new --collection old --share 0.5 --output merged`
    """
    from engine import load_collection
    from engine.training.checkpoints import check_new
    from engine.training.interpolation import Interpolation, check_shares
    from workbench.experiments.merging import merge_curve

    if destination is None and not collection:
        raise InputError(
            "There is nothing to do: name a --collection to measure, or a folder for the model with --output."
        )
    check_shares([share])
    wanted = _shares(shares)
    if destination is not None:
        check_new(destination, replace)
    loaded = [load_collection(name) for name in collection or ()]
    between = Interpolation(model, base, device)
    with progress_bars() as report:
        points = (
            merge_curve(between, loaded, wanted, lambda done, total: report("shares", done, total)) if loaded else []
        )
    if destination is not None:
        between.save(share, destination, replace)
        note(f"The model at a share of {share:g} is in {destination}.")
    if as_json:
        show_json({
            "base": between.base, "model": str(model), "output": None if destination is None else str(destination),
            "points": [point.to_dict() for point in points],
        })  # fmt: skip
        return
    names = [collection.name for collection in loaded]
    rows = [
        (f"{point.share:g}", *(
            f"{point.scores[name].ndcg:.4f} ({point.differences[name].mean:+.4f}, p {point.p_values[name]:.3g})"
            for name in names))
        for point in points
    ]  # fmt: skip
    if rows:
        show_table("Merged", ("share", *names), rows, f"nDCG@10; in brackets the difference to {between.base}")


def _shares(text: str) -> list[float]:
    from engine.training.interpolation import check_shares

    try:
        return check_shares([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"Expected --shares as numbers from 0 to 1, got {text!r}: write 0,0.5,1.") from None
