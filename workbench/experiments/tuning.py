"""Search the settings of training: trials that a sampler proposes, bad ones ended early, each a run in the store."""

from __future__ import annotations

import json
import math
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Collection
from engine.collection import require_judgements
from engine.errors import InputError, TrainingError, missing_extra
from engine.files import make_folder, require_place
from engine.training import Evaluated, Event, Report, Stop, TrainingData, TrainSettings, fine_tune
from engine.training.checkpoints import CHECKPOINTS, FREE, origin_of
from engine.training.validation import set_apart
from engine.typed import yaml_value
from workbench.experiments.training import as_runs

if TYPE_CHECKING:
    import optuna

FILE = "trials.db"  # of optuna, in the folder of the search: what an interrupted one goes on from
UNFIT = (*FREE, "validation", "patience", "seed")  # no weight depends on them, or the questions that are set apart do
LOGARITHMIC = 10  # a range whose ends lie this far apart is searched by its logarithm


@dataclass(frozen=True)
class Choice:
    """What a setting may be: one of some values, or any number of a range.

    Args:
        values: The values; empty for a range.
        low: The least of a range.
        high: The greatest.
    """

    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def read(cls, text: str) -> Choice:
        """Read "1e-5..1e-3" as a range, anything else as values between commas, in YAML.

        Raises:
            InputError: no range and no list of values.
        """
        low, dots, high = text.partition("..")
        try:
            if dots:
                found = cls(low=float(low), high=float(high))
                if not found.low < found.high:
                    raise ValueError
                return found
            values = yaml_value(f"[{text}]")
            if not values or None in values:
                raise ValueError
            return cls(tuple(values))
        except (ValueError, TypeError, InputError):
            raise InputError(
                f"Expected values such as 16,32 or a range such as 1e-5..1e-3, the smaller number first, got {text!r}: "
                "correct it."
            ) from None

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """What a trial takes."""
        if self.values:  # lists too, which the sampler knows by how they are written
            return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))
        apart = self.low > 0 and self.high / self.low >= LOGARITHMIC
        if self.low.is_integer() and self.high.is_integer():
            return trial.suggest_int(name, int(self.low), int(self.high), log=apart)
        return trial.suggest_float(name, self.low, self.high, log=apart)


@dataclass(frozen=True)
class Trial:
    """One training.

    Args:
        number: From 0.
        settings: What was chosen, of the settings that are searched.
        value: The best nDCG@10 on the training questions that were set apart.
        kept: The step that had it.
        steps: Steps done.
        ended: "complete"; "pruned" where others were better at the same step; "failed" where the loss exploded.
        run: Name of the run that measured it on the collection; empty without one.
        folder: Where its model is.
    """

    number: int
    settings: dict[str, Any]
    value: float
    kept: int
    steps: int
    ended: str
    run: str
    folder: str


OnTrial = Callable[[int, int, Trial], None]  # trials done, trials in all, the trial


def tune(
    settings: TrainSettings,
    over: Mapping[str, Choice],
    data: TrainingData,
    development: Collection | None = None,
    trials: int = 10,
    collection: str = "",
    on_trial: OnTrial | None = None,
    stop: Stop | None = None,
) -> list[Trial]:
    """Train with settings that a sampler proposes from what came before; a search that was interrupted goes on.

    Steps and trials are compared on training questions that are set apart, never on the collection: what that says of
    the chosen model is not biased by the choice. A trial that is worse than half of the others at the same step ends.

    Args:
        settings: What stays the same, with `validation` and `evaluate_every`; `output` is the folder of the search.
        over: Setting -> what it may be.
        data: Rows.
        development: Each trial's model is measured on it, as a run.
        trials: How many in all, those of an interrupted search among them; each combination of values comes once.
        collection: What `load_collection` takes for `development`, where something does.
        on_trial: Called after each.
        stop: Ends the search after the step that it is in; the trial under way is not kept.

    Returns:
        The trials, best first.

    Raises:
        InputError: an unknown setting, a value that it cannot have, or no questions set apart.
        MissingExtraError: optuna is not installed.

    Source:
        Sampler: Bergstra and others, 2011 (TPE). Ending trials early: Golovin and others, 2017 (median stopping).
    """
    if development is not None:
        require_judgements(development)
    study, trials = _study(settings, over, data, trials), min(trials, _combinations(over))
    from optuna import TrialPruned

    report, halt = on_trial or (lambda done, total, trial: None), stop or Stop()

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: choice.suggest(trial, name) for name, choice in over.items()}
        if any(chosen == known.settings for known in _finished(study)):
            raise TrialPruned  # trained already: the sampler proposes another
        folder = Path(settings.output) / f"trial-{trial.number}"
        own = replace(settings, **chosen, output=str(folder))
        ending, measure = Stop(), as_runs(own, collection) if development is not None else None

        def listen(event: Event) -> None:
            if isinstance(event, Evaluated) and event.chooses and event.step:
                trial.report(event.ndcg, event.step)
                if trial.should_prune():
                    ending.set()
            if halt.is_set():
                raise _Halted

        try:
            done = fine_tune(own, data, listen, development, stop=ending, replace=True, measure=measure)
        except TrainingError:  # a loss that explodes says something about the settings, not about the search
            failed = Trial(trial.number, chosen, 0.0, 0, 0, "failed", "", str(folder))
            trial.set_user_attr("trial", vars(failed))
            return 0.0
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # several models' size each
        trial.set_user_attr("trial", vars(_trial(trial.number, chosen, done, ending.is_set())))
        return max(done.measured.values())

    while (done := len(_finished(study))) < trials and not halt.is_set():
        try:
            study.optimize(objective, n_trials=1)
        except _Halted:
            break
        if len(found := _finished(study)) > done:
            report(len(found), trials, found[-1])
    return sorted(_finished(study), key=lambda trial: -trial.value)


class _Halted(Exception):
    """Ends the trial under way."""


def _combinations(over: Mapping[str, Choice]) -> int:
    """How many trials can differ."""
    return math.prod(len({json.dumps(value) for value in choice.values}) or sys.maxsize for choice in over.values())


def _study(settings: TrainSettings, over: Mapping[str, Choice], data: TrainingData, trials: int) -> optuna.Study:
    try:
        import optuna
    except ImportError:
        raise missing_extra("optuna", "train") from None
    if not settings.validation:
        raise InputError("Expected validation and evaluate_every: questions set apart compare the trials, try 0.2.")
    set_apart(data, settings.validation)
    if not over:
        raise InputError("Expected a setting to search: name one, such as learning_rate=1e-5..1e-3.")
    if unfit := next((name for name in over if name in UNFIT), None):
        raise InputError(
            f"Expected settings that change the weights and not what trials are measured with, got {unfit}: search "
            "others."
        )
    for name, choice in over.items():
        for value in choice.values or (choice.low, choice.high):
            whole = int(value) if not choice.values and float(value).is_integer() else value
            TrainSettings.from_dict({**settings.to_dict(), name: whole})
    folder = Path(settings.output)
    require_place(folder)
    make_folder(folder)
    origin = {**origin_of(settings, data, ""), "over": {name: vars(choice) for name, choice in sorted(over.items())}}
    name, storage = json.dumps(origin, sort_keys=True), f"sqlite:///{folder.resolve() / FILE}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if set(optuna.get_all_study_names(storage)) - {name}:
            raise InputError(f"{folder} holds a search of other settings or rows: give another output folder.")
        study = optuna.create_study(
            direction="maximize",
            study_name=name,
            storage=storage,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        )
        # A search that goes on must not propose again what it began with; one that tries everything needs no wisdom.
        sampler = optuna.samplers.RandomSampler if _combinations(over) <= trials else optuna.samplers.TPESampler
        study.sampler = sampler(seed=settings.seed + len(study.trials))
    return study


def _finished(study: optuna.Study) -> list[Trial]:
    kept = [trial.user_attrs["trial"] for trial in study.trials if "trial" in trial.user_attrs]
    return [Trial(**record) for record in kept]


def _trial(number: int, chosen: dict[str, Any], report: Report, pruned: bool) -> Trial:
    return Trial(
        number, chosen, max(report.measured.values()), report.kept or 0, report.steps,
        "pruned" if pruned else "complete", "" if report.after is None else report.after.run, report.folder,
    )  # fmt: skip


def read_choices(texts: Sequence[str]) -> dict[str, Choice]:
    """What `--over` says: each "name=values" or "name=low..high".

    Raises:
        InputError: no such text, or a setting twice.
    """
    found: dict[str, Choice] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name.strip() or name.strip() in found:
            raise InputError(f"Expected --over as setting=values, each once, got {text!r}: write batch=16,32.")
        found[name.strip()] = Choice.read(values)
    return found
