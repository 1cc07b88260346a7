"""The command that searches the settings of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Context, Option

from workbench.cli.options import (
    BaseOption,
    DeviceOption,
    JsonOption,
    MapOption,
    RecipeOption,
    SeedOption,
    TrainSettingOption,
    column_map,
)
from workbench.cli.output import note, progress_bars, show_json, show_table
from workbench.cli.training import settings_from, stopping


def tune(
    context: Context,
    data: Annotated[Path, Option(help="File of pairs, triplets or scored lists.")],
    over: Annotated[
        list[str], Option(help="Repeatable: values or a range of a setting, batch=16,32 or learning_rate=1e-5..1e-3.")
    ],
    model: BaseOption = "embedded",
    destination: Annotated[Path, Option("--output", help="Folder for the models of the trials.")] = Path("trials"),
    trials: Annotated[int, Option(help="How many trials, in all.", min=1)] = 10,
    max_steps: Annotated[int, Option(help="Steps of a trial at most; 0 takes as many as the epochs need.", min=0)] = 0,
    development: Annotated[
        str | None, Option("--collection", help="Collection with judgements: each trial becomes a run on it.")
    ] = None,
    settings: RecipeOption = None,
    setting: TrainSettingOption = None,
    mapping: MapOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Search the settings of training: questions set apart compare the trials, and each is a run to be compared.

    Ctrl+C ends the search; the same command goes on where it ended.

    Example: `workbench tune --data pairs.jsonl --over learning_rate=1e-5..1e-3 --over "pool_factors=[1],[1,2,4]"`
    """
    from engine import load_collection
    from engine.training import Stop, TrainSettings, read_training_data
    from workbench.experiments.tuning import read_choices
    from workbench.experiments.tuning import tune as search

    usual = {"validation": 0.2, "evaluate_every": max(max_steps // 5, 1) if max_steps else 10}
    chosen = TrainSettings.from_dict(usual | settings_from(context, settings, setting or []))
    wanted = read_choices(over)
    rows = read_training_data(data, column_map(mapping))
    loaded, stop = load_collection(development) if development else None, Stop()
    with progress_bars() as report, stopping(stop, "Stopping; the trials that are finished are kept."):
        found = search(
            chosen, wanted, rows, loaded, trials, development or "",
            lambda done, total, trial: report("trials", done, total), stop,
        )  # fmt: skip
    if as_json:
        show_json({"trials": [vars(trial) for trial in found]})
        return
    table = [
        (*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in trial.settings.values()),
         f"{trial.value:.4f}", f"{trial.kept} of {trial.steps}", trial.ended, trial.run or trial.folder)
        for trial in found
    ]  # fmt: skip
    caption = "nDCG@10 on training questions set apart"
    show_table("Trials", (*wanted, "nDCG@10", "step", "ended", "run" if loaded else "model"), table, caption)
    if len(runs := [trial.run for trial in found if trial.run]) > 1:
        note(f"The best two as runs: `workbench compare {runs[0]} {runs[1]} --test randomization`.")
