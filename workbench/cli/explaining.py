"""The command that explains one pair: as a table, or as a picture for slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from engine.errors import InputError
from workbench.cli.browser import app_of
from workbench.cli.options import CollectionOption, DeviceOption, IndexOption, JsonOption, ModelOption
from workbench.cli.output import note, progress_bars, show_json, show_table


def explain(
    question: Annotated[str, Argument(help="The question.")],
    document: Annotated[str, Option(help="Id of the document; the best one for the question if not given.")] = "",
    save: Annotated[
        Path | None,
        Option(help="Also write a picture: .html, .svg or .png; .gif or .webm with the steps one after the other."),
    ] = None,
    level: Annotated[str, Option(help="What a row is: words, or the pieces that the model reads.")] = "words",
    dark: Annotated[bool, Option("--dark", help="Draw the picture in the dark theme.")] = False,
    width: Annotated[int, Option(help="Width of the picture, in pixels.")] = 1000,
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: IndexOption = "plaid",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show which token of a document each token of a question matches, and how the score adds up.

    Example: `workbench explain "remove spaces at both ends" --document str.strip --save steps.gif`
    """
    from workbench.answers import explained_values
    from workbench.experiments.plan import parse_spec
    from workbench.workspace import open_workspace

    if not question.strip():
        raise InputError("Expected a question, got an empty one: type a few words.")
    if level not in ("words", "pieces"):
        raise InputError(f"Expected --level words or pieces, got {level!r}: choose one of them.")
    pictures: Any = app_of("pictures", "gradio") if save is not None else None
    if pictures is not None and save is not None:
        pictures.check_picture(save, width)
    kind, settings = parse_spec(index)
    with progress_bars() as report:
        workspace = open_workspace(collection, model, kind, report, device, settings)
        name = document or workspace.search(question, 1).hits[0].id
        alignment = workspace.explain(question, name)
        if pictures is not None:
            pictures.save_explained(
                workspace, save, question, name, level, dark, width, lambda done, total: report("Steps", done, total)
            )
            note(f"Wrote {save}.")
    if as_json:
        show_json(explained_values(workspace, question, name))
        return
    matched = [alignment.document_tokens[i].text for i in alignment.best]
    rows = [
        (token.text, "" if token.kind == "text" else token.kind, match, f"{value:.3f}")
        for token, match, value in zip(alignment.query_tokens, matched, alignment.contribution, strict=True)
    ]
    show_table(f"{question}: {name}", ("query token", "added", "best match", "contribution"), rows,
               f"in all {alignment.score:.3f}, on {workspace.scored_on}")  # fmt: skip
