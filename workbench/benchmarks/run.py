"""Run a benchmark: each task is a run in the store, found again where it is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import CorruptDataError, NotFoundError
from engine.statistics import Interval, mean_of_tasks
from workbench.benchmarks.catalogue import IMAGES, Benchmark
from workbench.benchmarks.published import Published, published
from workbench.experiments.execute import run
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress
from workbench.runs.record import Run

Choice = dict[str, Any]  # fields of an experiment: index, settings, system, pool, scorer, k


@dataclass(frozen=True, eq=False)
class TaskResult:
    """One task of a benchmark.

    Args:
        task: Its name.
        run: Its run; None where it could not be measured, or is scored by mteb alone.
        problem: Why it could not be measured.
        mteb: What mteb itself says: its main score, and where its file lies.
    """

    task: str
    run: Run | None = None
    problem: str = ""
    mteb: dict[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The metric that stands in the table."""
        return "" if self.run is None else self.run.judged_metrics[0]

    @property
    def interval(self) -> Interval | None:
        """The mean with its interval."""
        return None if self.run is None else self.run.intervals[self.metric]


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """A benchmark, or some of its tasks.

    Args:
        benchmark: Which one.
        choice: How was searched.
        model: Its name.
        tasks: One entry a task, in the order in which they were run.
    """

    benchmark: Benchmark
    choice: Choice
    model: str
    tasks: tuple[TaskResult, ...]

    @property
    def measured(self) -> list[TaskResult]:
        """The tasks that have a run."""
        return [task for task in self.tasks if task.run is not None]

    @property
    def mean(self) -> Interval | None:
        """The mean over tasks, each counting alike, with its interval over the queries of each; None without runs."""
        values = [list(task.run.per_query(task.metric).values()) for task in self.tasks if task.run is not None]
        return mean_of_tasks(values) if values else None

    @property
    def published(self) -> list[Published]:
        """Figures that others published of these tasks, on the metric of the table."""
        if any(task.metric not in ("", "ndcg@10", "nDCG@10") for task in self.tasks):
            return []
        return published(self.benchmark.name, tuple(task.task for task in self.tasks))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        others = [{"model": entry.model, "source": entry.source, "ndcg@10": entry.values} for entry in self.published]
        mean = self.mean
        return {
            "benchmark": self.benchmark.name, "model": self.model, "searched": self.choice,
            "mean": None if mean is None else mean._asdict(),
            "tasks": [_task_record(task) for task in self.tasks], "published": others,
        }  # fmt: skip


def _task_record(task: TaskResult) -> dict[str, Any]:
    found: dict[str, Any] = {"task": task.task, "problem": task.problem, "mteb": task.mteb}
    if task.run is not None:
        record = task.run.record
        found |= {
            "run": task.run.id, "scores": record["scores"], "judged": record["judged"],
            "documents": record["collection"]["documents"], "p50_ms": task.run.p50_ms, "bytes": task.run.bytes,
            "build_s": record["costs"]["build_s"], "notes": task.run.warnings,
        }  # fmt: skip
    return found


def run_tasks(
    benchmark: Benchmark, tasks: Sequence[str], model: str, choice: Choice, metrics: Sequence[str] | None = None,
    place: str = "", device: str = "auto", progress: Progress | None = None, force: bool = False,
) -> Iterator[TaskResult]:  # fmt: skip
    """Measure tasks one after the other.

    Args:
        benchmark: Which has them.
        tasks: Their names.
        model: For `Encoder.load`.
        choice: Index, settings, system, pool, scorer and k of the experiments.
        metrics: In place of the benchmark's own.
        place: Another dataset, owner or folder than the benchmark's, in the same layout.
        device: Where the model runs.
        progress: Called with (stage, done, total).
        force: Measure again what is there already.

    Yields:
        One result a task as soon as it is there; a task whose data are not here or damaged has its reason.

    Raises:
        WorkbenchError: what keeps every task from being measured: an unknown model, a kind that is not installed.
    """
    for task in tasks:
        chosen = tuple(metrics or (("hit_rate@1",) if task in benchmark.at_one else benchmark.metrics))
        try:
            yield _measured(benchmark, task, model, {**choice, "metrics": chosen}, place, device, progress, force)
        except (NotFoundError, CorruptDataError) as error:
            yield TaskResult(task, problem=str(error))


def _measured(
    benchmark: Benchmark, task: str, model: str, choice: Choice, place: str, device: str, progress: Progress | None,
    force: bool,
) -> TaskResult:  # fmt: skip
    ranked, extra = True, {}
    if benchmark.name == "mteb":
        from workbench.benchmarks.mteb_task import score_task  # mteb takes a second to import

        extra, ranked = score_task(task, model, choice, device, force)
    if not ranked:
        return TaskResult(task, mteb=extra)
    ready = _prepared(benchmark, task, model, place, device)
    wanted = ready.experiment(**choice, same_ids=benchmark.same_ids)
    found = run(wanted, progress, name=f"{benchmark.name}:{task}", prepared=ready, force=force)
    return TaskResult(task, found, mteb=extra)


def _prepared(benchmark: Benchmark, task: str, model: str, place: str, device: str) -> Prepared:
    if benchmark.name == IMAGES:
        from workbench.benchmarks.page_images import prepare_pages

        return prepare_pages(task, place, model, device)
    return prepare(benchmark.source(task, place), model, device=device)
