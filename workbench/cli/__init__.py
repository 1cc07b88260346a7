"""The `workbench` command."""

from workbench.cli.app import main

__all__ = ["main"]
