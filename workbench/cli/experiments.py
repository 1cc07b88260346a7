"""The commands that run experiments: `run`, `sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from engine.errors import InputError
from engine.typed import yaml_value
from workbench.cli.options import (
    ForceOption,
    JsonOption,
    LengthOption,
    SameIdsOption,
    ScorerOption,
    Several,
    SplitOption,
    SystemOption,
    WhereOption,
    WindowsOption,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table
from workbench.cli.runs import show_run


def run(
    experiment: Annotated[Path, Argument(help="A YAML file; `workbench run --example` prints one.")] = Path("-"),
    name: Annotated[str, Option(help="What to call the run; what it measures if not given.")] = "",
    force: ForceOption = False,
    scorer: ScorerOption = "",
    same_ids: SameIdsOption = "",
    system: SystemOption = "",
    where: WhereOption = "",
    split: SplitOption = None,
    windows: WindowsOption = None,
    document_length: LengthOption = None,
    example: Annotated[bool, Option("--example", help="Print an experiment with every setting.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment and keep it; what was computed before is not computed again.

    Example: `workbench run --example > exp.yaml && workbench run exp.yaml`
    """
    from engine.model_names import ModelName
    from engine.reading import Source
    from workbench.experiments.execute import run as execute
    from workbench.experiments.experiment import Experiment

    if example:
        out.print(Experiment().to_yaml(every=True))
        return
    if str(experiment) == "-":
        raise InputError("Expected a file with an experiment: `workbench run --example > exp.yaml` makes one.")
    wanted = Experiment.read(experiment)
    wanted = wanted.with_(
        collection=str(Source.parse(wanted.collection).choose(split=split)), scorer=scorer or wanted.scorer,
        same_ids=same_ids or wanted.same_ids, system=system or wanted.system,
        where=where or wanted.where,
        model=str(ModelName.parse(wanted.model).choose(windows, document_length)),
    )  # fmt: skip
    with progress_bars() as report:
        finished = execute(wanted, report, name=name, force=force)
    if as_json:
        show_json(finished.record)
    else:
        show_run(finished)
    if finished.reused:
        note("This run was there already: nothing was computed.")


def sweep(
    experiment: Annotated[Path, Argument(help="A YAML file with what stays the same.", exists=True)],
    over: Annotated[
        Several, Option(help="Repeatable: a setting and its values, pool_factor=1,2,4; every combination is run.")
    ] = None,
    system: Annotated[Several, Option(help="Repeatable: each system is run with every combination.")] = None,
    processes: Annotated[int | None, Option(help="Runs at once; as memory and cores allow if not given.")] = None,
    same_ids: SameIdsOption = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Say what it would cost, run nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every combination of some settings; stages that runs share are computed once, finished runs are found again.

    Example: `workbench sweep exp.yaml --over pool_factor=1,2,4 --over index=exact,plaid`
    """
    from workbench.experiments.estimate import preflight
    from workbench.experiments.experiment import Experiment
    from workbench.experiments.plan import grid
    from workbench.experiments.prepare import Loader
    from workbench.experiments.sweep import sweep as execute

    base, wanted = Experiment.read(experiment), dict(_values(text) for text in over or ())
    wanted |= {"system": system} if system else {}
    base = base.with_(same_ids=same_ids or base.same_ids)
    loader = Loader()
    costs = preflight(grid(base, wanted), processes, loader)
    note(str(costs))
    if dry_run:
        return
    with progress_bars() as report:
        done = execute(
            base,
            wanted,
            lambda finished, total, run: report("runs", finished, total),
            processes=processes,
            loader=loader,
        )
    reused = sum(run.reused for run in done)
    note(f"{len(done) - reused} run, {reused} were there already." if reused < len(done)
         else f"All {len(done)} runs were there already: nothing was computed.")  # fmt: skip
    if as_json:
        show_json([run.record for run in done])
        return
    metrics = list(base.metrics)
    rows = [(run.name, run.id, *(f"{run.mean[metric]:.4f}" for metric in metrics)) for run in done]
    show_table(f"{len(done)} runs", ("what", "run", *metrics), rows)


def _values(text: str) -> tuple[str, list[Any]]:
    name, _, values = text.partition("=")
    if not name or not values:
        raise InputError(f"Expected --over as name=value,value, got {text!r}: try pool_factor=1,2,4.")
    return name, [yaml_value(value) for value in values.split(",")]
