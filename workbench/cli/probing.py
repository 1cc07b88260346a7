"""The command that runs minimal pairs on a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from workbench.cli.options import DeviceOption, JsonOption, ModelOption, OutputOption
from workbench.cli.output import note, show_json, show_table

if TYPE_CHECKING:
    from workbench.probe import PairResult

WORST = 3  # pairs that are told about


def probe(
    model: ModelOption = "embedded",
    pairs: Annotated[
        Path | None,
        Option(help="File with pairs of your own: question, right, wrong, and where you like phenomenon, mirror."),
    ] = None,
    only_own: Annotated[bool, Option("--only-own", help="Ask only your own pairs, not those of this project.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """See what a model cannot tell apart: negation, numbers, word order, entities and other minimal pairs.

    A pair is right where each of its two questions prefers the text that answers it.

    Example: `workbench probe --model embedded --pairs my-pairs.jsonl`
    """
    from engine import Encoder
    from engine.errors import InputError
    from workbench import probe as probing
    from workbench.probe.probe import as_json as record

    if only_own and pairs is None:
        raise InputError("There is nothing to run: name your own pairs with --pairs.")
    wanted = [] if only_own else probing.own_pairs()
    wanted += probing.read_pairs(pairs) if pairs is not None else []
    found = probing.probe(Encoder.load(model, device=device), wanted)
    if as_json or output:
        show_json(record(found), output)
        return
    rows = [
        (entry.name, entry.pairs, f"{entry.right / entry.pairs:.2f} ({entry.low:.2f} to {entry.high:.2f})",
         f"{entry.questions_right} of {entry.questions}", f"{100 * entry.margin:+.1f}%")
        for entry in found.phenomena
    ]  # fmt: skip
    columns = ("phenomenon", "pairs", "right both ways", "questions right", "margin")
    caption = (
        "share of pairs with its 95% interval; a coin is right on half of the questions, and on a quarter of pairs"
    )
    show_table(f"Minimal pairs, model {model}", columns, rows, caption)
    worst = sorted((result for result in found.results if not result.right), key=_least)[:WORST]
    for result in worst:
        note(f"Not told apart: {result.pair.right!r} and {result.pair.wrong!r}, asked {result.pair.question!r}.")


def _least(result: PairResult) -> float:
    return result.margin if result.mirror_margin is None else min(result.margin, result.mirror_margin)
