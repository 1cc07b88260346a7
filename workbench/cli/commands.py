"""Which function is which subcommand."""

from __future__ import annotations

import typer

from workbench.cli import (
    benchmarks,
    browser,
    capacity,
    doctor,
    evaluating,
    experiments,
    explaining,
    indexes,
    merging,
    pooling,
    probing,
    publishing,
    questions,
    runs,
    search,
    serving,
    systems,
    tracing,
    training,
    tuning,
)
from workbench.cli.options import with_source_options
from workbench.cli.sharing import with_ray

SHARED = {"encode", "index", "search", "evaluate", "sweep", "recommend", "mine"}  # whose work can be shared out

PANELS = {  # title in `workbench --help` -> its commands, in the order in which a newcomer meets them
    "Search and see": (
        browser.demo, browser.ui, search.search, explaining.explain, tracing.trace, browser.notebooks,
    ),
    "Measure": (
        evaluating.evaluate, benchmarks.benchmark, systems.compare_systems, indexes.compare_indexes,
        pooling.pool_study, indexes.recommend, probing.probe, questions.questions, questions.check_questions,
        experiments.run, experiments.sweep, runs.compare, browser.dashboard,
    ),
    "Train": (training.train, training.mine, tuning.tune, merging.merge),
    "Build and hand on": (search.encode, search.index, serving.serve, serving.mcp, publishing.publish),
    "This machine, and larger ones": (doctor.doctor, capacity.plan),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add every subcommand once."""
    if app.registered_commands:
        return
    for title, functions in PANELS.items():
        for function in functions:
            app.command(rich_help_panel=title)(function)
    app.add_typer(runs.runs, name="runs", rich_help_panel="Measure")
    for registered in app.registered_commands:
        if registered.callback is not None:
            shared = registered.callback.__name__ in SHARED
            registered.callback = with_source_options(registered.callback)
            if shared:
                registered.callback = with_ray(registered.callback)
