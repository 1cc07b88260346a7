"""The command's frame: subcommands, and one sentence with exit code 2 for a user's mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from engine.errors import WorkbenchError
from workbench.cli.output import complain, reading_notes


class _Commands(TyperGroup):
    """The commands; one that is interrupted says so, which typer alone would not."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("Stopped; what was finished is kept.")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="workbench",
    cls=_Commands,
    help="See, measure and fine-tune late-interaction retrieval. Begin with `workbench demo`; `--help` behind a "
    "command shows its options and an example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process.

    Args:
        arguments: What follows the command's name; `sys.argv` when None.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and ours would compete for the cores
    from workbench.cli import commands
    from workbench.cli.sharing import worded

    commands.register(app)
    try:
        with reading_notes():
            app(args=worded(sys.argv[1:] if arguments is None else arguments))
    except WorkbenchError as error:
        complain(str(error))
        sys.exit(2)
    except OSError as error:  # what no reader or writer expected: a name that is too long, a folder without rights
        place = error.filename if error.filename is not None else "A file or address"
        complain(f"{place} cannot be used ({error.strerror or error}): choose another place or name.")
        sys.exit(2)
