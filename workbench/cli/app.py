"""The command's frame: subcommands, and one sentence with exit code 2 for a user's mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from engine.errors import WorkbenchError
from workbench.cli.output import complain, reading_notes

app = typer.Typer(
    name="workbench",
    help="See, measure and fine-tune late-interaction retrieval.",
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

    commands.register(app)
    try:
        with reading_notes():
            app(args=list(arguments) if arguments is not None else None)
    except WorkbenchError as error:
        complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        complain("Stopped; what was finished is kept.")
        sys.exit(130)
