"""Runs: one folder each, plain files, written complete and renamed."""

from workbench.runs.exchange import export, import_zip, to_ranx, to_trec
from workbench.runs.record import Run
from workbench.runs.store import delete, find, list_runs
from workbench.runs.store import list_runs as list

__all__ = ["Run", "delete", "export", "find", "import_zip", "list", "list_runs", "to_ranx", "to_trec"]
