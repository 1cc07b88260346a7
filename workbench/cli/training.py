"""The commands that train: `train`, and `mine` for hard negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Context, Option

from engine.errors import InputError
from engine.typed import yaml_value
from workbench.cli.options import (
    BaseOption,
    DeviceOption,
    IndexOption,
    JsonOption,
    MapOption,
    ModelOption,
    RecipeOption,
    SeedOption,
    TrainSettingOption,
    check_place,
    column_map,
    given_ones,
)
from workbench.cli.output import note, progress_bars, show_json, show_table

if TYPE_CHECKING:
    from engine.training import Event, Report


def train(
    context: Context,
    data: Annotated[
        Path | None,
        Option(
            help="File of pairs, triplets or scored lists; without it the training questions of --collection are "
            "learned from, or its texts where it has none."
        ),
    ] = None,
    model: BaseOption = "embedded",
    destination: Annotated[Path, Option("--output", help="Folder for the trained model.")] = Path("model"),
    max_steps: Annotated[int, Option(help="Steps at most; 0 takes as many as the epochs need.", min=0)] = 0,
    development: Annotated[
        str | None, Option("--collection", help="Collection with judgements, measured before, during and after.")
    ] = None,
    settings: RecipeOption = None,
    setting: TrainSettingOption = None,
    learns: Annotated[
        str | None,
        Option(help="What learns, with settings for a first run: all weights, lora, or head alone (half the time)."),
    ] = None,
    mapping: MapOption = None,
    resume: Annotated[bool, Option("--resume", help="Go on from the last checkpoint.")] = False,
    replace: Annotated[
        bool, Option("--replace", help="Train anew where --output holds a model or checkpoints already.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a model on your own pairs, with scores before and after; Ctrl+C stops and keeps the model.

    Example: `workbench train --data pairs.jsonl --collection embedded --max-steps 100 --output my-model`
    """
    from engine import load_collection
    from engine.training import Stop, TrainSettings, fine_tune, read_training_data
    from engine.training.first import first_settings
    from engine.training.loop import is_first_process
    from workbench.experiments.training import as_runs, own_texts, values_of

    if resume and replace:
        raise InputError("--resume goes on and --replace starts anew: choose one of the two.")
    first = first_settings(learns) if learns else {}
    chosen = TrainSettings.from_dict(first | settings_from(context, settings, setting or []))
    loaded, choosing = load_collection(development) if development else None, None
    if data is not None:
        rows = read_training_data(data, column_map(mapping))
    else:
        rows, choosing, loaded = own_texts(loaded, chosen)
    stop, measure = Stop(), as_runs(chosen, development or "")
    with progress_bars() as report, stopping(stop):
        done = fine_tune(chosen, rows, _telling(report), loaded, resume, stop, (), replace, measure, choosing)
    if not is_first_process():  # torchrun starts several, and one result is enough
        return
    if as_json:
        show_json(values_of(done))
    else:
        _show(done)


def _telling(report: Callable[[str, int, int], None]) -> Callable[[Event], None]:
    """What says how far a training is."""
    from engine.training import Evaluated, Started, Step

    def show(event: Event) -> None:
        if isinstance(event, Started):
            note(f"{event.rows:,} rows, {event.steps:,} steps: {event.counts}")
        elif isinstance(event, Step):
            report("steps", event.step, event.steps)
        elif isinstance(event, Evaluated):
            told = " on questions set apart" if event.chooses else ""
            note(f"step {event.step}: nDCG@10 {event.ndcg:.4f} ({event.low:.3f} to {event.high:.3f}){told}")

    return show


def _show(done: Report) -> None:
    """Print what a training came to."""
    from engine.training.report import ALREADY

    table = [
        (name, f"{score.ndcg:.4f}", f"{score.low:.3f} to {score.high:.3f}", score.run)
        for name, score in done.scores.items()
    ]
    caption = f"{done.reason} after {done.steps:,} steps and {done.seconds:.0f} s, kept in {done.folder}"
    if done.reason == ALREADY:
        caption = f"this run was complete before, after {done.steps:,} steps: nothing in {done.folder} was changed"
    if done.measured:
        caption += f"; the weights of step {done.kept} are kept, the best of {len(done.measured)} on {done.chosen_on}"
    if done.p_value is not None:
        caption += f"; p {done.p_value:.3g}, {len(done.better)} questions better, {len(done.worse)} worse"
    show_table("Trained", ("", "nDCG@10", "95% interval", "run"), table, caption)
    if done.scores:
        runs = " ".join(score.run for score in done.scores.values())
        note(f"Both are runs: `workbench compare {runs} --test randomization`, or the dashboard.")


def mine(
    data: Annotated[Path, Option(help="File of pairs.")],
    destination: Annotated[Path, Option("--output", help="File for the rows with negatives, as JSON lines.")],
    model: ModelOption = "embedded",
    corpus: Annotated[
        str | None,
        Option("--collection", help="Also look among the documents of this collection, not only among the positives."),
    ] = None,
    index: IndexOption = "exact",
    negatives: Annotated[int, Option(help="Hard negatives to add to a row.", min=1)] = 1,
    depth: Annotated[int, Option(help="How many of the best documents are looked at.", min=1)] = 50,
    skip: Annotated[
        int, Option(help="How many of the best to pass over: they are often answers that nobody judged.", min=0)
    ] = 0,
    margin: Annotated[float, Option(help="Pass over what scores more than this share of the positive's score.")] = 0.95,
    teacher: Annotated[
        str | None, Option(help="A cross-encoder, owner/name or a folder, by whose scores the margin must hold too.")
    ] = None,
    mapping: MapOption = None,
    scores: Annotated[bool, Option("--scores", help="Add the teacher's scores, for distillation.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Add hard negatives to pairs: what the model ranks high and is not the answer.

    Example: `workbench mine --data pairs.jsonl --output mined.jsonl --negatives 2 --skip 2`
    """
    from engine import Encoder, load_collection
    from engine.training import CachedTeacher, MiningSettings, add_teacher_scores, read_training_data
    from engine.training import mine as add_negatives
    from workbench.elsewhere import spread_encoder
    from workbench.experiments.plan import parse_spec
    from workbench.experiments.unread import remedy

    if scores and teacher is None:
        raise InputError("--scores needs the teacher that gives them: name a cross-encoder with --teacher.")
    check_place(destination)
    if destination.resolve() == data.resolve():
        raise InputError(f"{destination} is the file of pairs itself: give another file for the mined rows.")
    chosen = MiningSettings(negatives, depth, skip, margin, *parse_spec(index))
    rows = read_training_data(data, column_map(mapping))
    texts = list(load_collection(corpus).documents.values()) if corpus else None
    judge = None
    if teacher is not None:
        judge = CachedTeacher.load(teacher, destination.with_name(destination.name + ".scores"), _device(device))
    encoder = spread_encoder(Encoder.load(model, device=device))
    with progress_bars() as report:
        mined = add_negatives(encoder, rows, texts, chosen, judge, report)
    if mined.counts["cut"]:
        windows = remedy(encoder.describe())
        note(f"{mined.counts['cut']:,} texts were cut" + (f": --windows {windows} reads all." if windows else "."))
    if scores and judge is not None:
        mined = add_teacher_scores(mined, judge)
    mined.save(destination)
    if as_json:
        show_json({"file": str(destination), "columns": list(mined.columns), "counts": mined.counts})
        return
    caption = f"{mined.counts['unmined']:,} rows had too few that score below {margin:g} of the positive"
    show_table("Mined", ("", "rows"), [(str(destination), f"{len(mined):,}")], caption)


def _device(name: str) -> str | None:
    return None if name == "auto" else name


OPTIONS = {"base": "model", "seed": "seed", "device": "device", "max_steps": "max_steps", "output": "destination"}


def settings_from(context: Context, recipe: str | None, given: list[str]) -> dict[str, Any]:
    """Settings of a recipe, overridden by options that were typed, then by --set.

    Args:
        context: The call of the command, which knows what was typed.
        recipe: As --settings has it.
        given: Each "name=value" of --set.

    Raises:
        InputError: the recipe is no mapping, or a setting is not name=value.
        NotFoundError: no such recipe.
    """
    from engine.training import TrainSettings
    from engine.training.recipes import recipe_values

    values, usual = {} if recipe is None else recipe_values(recipe), TrainSettings().to_dict()
    for name, option in OPTIONS.items():
        value = str(found) if isinstance(found := context.params[option], Path) else found
        if given_ones(context, option) or (name not in values and value != usual[name]):
            values[name] = value
    known = ", ".join(entry.name for entry in fields(TrainSettings))
    for text in given:
        name, found, value = text.partition("=")
        if not found:
            raise InputError(f"Expected --set as name=value, got {text!r}: the names are {known}.")
        values[name] = yaml_value(value)
    return values


class stopping:  # used as a context manager, like a function
    """While it is entered, the first Ctrl+C sets a stop instead of ending the process."""

    def __init__(self, stop: Any, told: str = "Stopping after this step; the model is kept.") -> None:
        self.stop, self.told = stop, told

    def __enter__(self) -> None:
        import signal

        self.previous = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *error: object) -> None:
        import signal

        signal.signal(signal.SIGINT, self.previous)

    def _interrupt(self, *_: object) -> None:
        import signal

        note(f"{self.told} Ctrl+C again ends at once.")
        self.stop.set()
        signal.signal(signal.SIGINT, self.previous)
