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


def register(app: typer.Typer) -> None:
    """Add every subcommand once."""
    if app.registered_commands:
        return
    for function in (browser.demo, browser.ui, browser.dashboard, serving.serve, serving.mcp, browser.notebooks):
        app.command()(function)
    for function in (search.search, search.encode, search.index, evaluating.evaluate):
        app.command()(function)
    app.command()(benchmarks.benchmark)
    app.command()(experiments.run)
    app.command()(experiments.sweep)
    app.add_typer(runs.runs, name="runs")
    app.command()(runs.compare)
    app.command("pool-study")(pooling.pool_study)
    app.command("compare-indexes")(indexes.compare_indexes)
    app.command("compare-systems")(systems.compare_systems)
    app.command()(tracing.trace)
    app.command()(indexes.recommend)
    app.command()(questions.questions)
    app.command("check-questions")(questions.check_questions)
    app.command()(training.train)
    app.command()(training.mine)
    app.command()(explaining.explain)
    app.command()(probing.probe)
    app.command()(publishing.publish)
    app.command()(merging.merge)
    app.command()(tuning.tune)
    app.command()(capacity.plan)
    app.command()(doctor.doctor)
    for registered in app.registered_commands:
        if registered.callback is not None:
            shared = registered.callback.__name__ in SHARED
            registered.callback = with_source_options(registered.callback)
            if shared:
                registered.callback = with_ray(registered.callback)
