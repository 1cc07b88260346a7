"""Experiments over the engine: see, measure and compare late-interaction retrieval."""

# Plain imports, for the reason that engine/__init__.py gives: `compare` and `sweep` are also the names of modules.
from engine import (
    Alignment,
    Collection,
    Encoder,
    Evaluation,
    Ranking,
    TokenEmbeddings,
    create_index,
    evaluate,
    explain,
    load_collection,
    maxsim,
    open_index,
    pool,
    rerank,
)
from workbench import runs
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.sweep import sweep
from workbench.experiments.views.comparison import compare

__all__ = [
    "Alignment",
    "Collection",
    "Encoder",
    "Evaluation",
    "Experiment",
    "Ranking",
    "TokenEmbeddings",
    "compare",
    "create_index",
    "evaluate",
    "explain",
    "figures",
    "load_collection",
    "maxsim",
    "open_index",
    "pool",
    "rerank",
    "run",
    "runs",
    "sweep",
]


def __getattr__(name: str) -> object:
    """Import the figures on first use: plotly takes a second."""
    if name == "figures":
        from importlib import import_module

        return import_module("workbench.figures")
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")
