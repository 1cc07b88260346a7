"""Which function is which subcommand."""

from __future__ import annotations

import typer

from workbench.cli import browser, doctor, search


def register(app: typer.Typer) -> None:
    """Add every subcommand once."""
    if app.registered_commands:
        return
    for function in (browser.demo, browser.ui, browser.dashboard, browser.notebooks):
        app.command()(function)
    for function in (search.search, search.encode, search.index, search.evaluate):
        app.command()(function)
    app.command()(doctor.doctor)
