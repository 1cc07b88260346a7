"""Commands as a person types them, run in this process."""

from __future__ import annotations

import pytest

from workbench.cli import main


def run(*arguments: str) -> int:
    """The exit code of a command."""
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Both streams as one line: tables are wrapped to the width of the terminal."""
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())
