"""Studies: questions that take several experiments, each a plan that is executed and a view of its runs."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.collection import require_judgements
from engine.errors import InputError, WorkbenchError
from engine.metrics import DEFAULT_METRICS
from workbench.elsewhere import place
from workbench.experiments import plan
from workbench.experiments.again import command_for
from workbench.experiments.climbing import Climb, climb, measured
from workbench.experiments.execute import check_fits, is_kept, run, run_alone
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import STAGES, TRUTH_DEPTH, Prepared
from workbench.experiments.progress import Progress, Steps, Stop, Stopped
from workbench.experiments.sweep import OnRun, sweep
from workbench.experiments.views.demo import DemoRow, demo_row
from workbench.experiments.views.indexes import MATCHED, IndexRow, failed_row, index_row
from workbench.experiments.views.recommendation import Option, Recommendation, choose, code_for
from workbench.experiments.views.seeds import SeedNoise
from workbench.systems.text import late, parse_system

PREFERENCES = ("small", "fast")
HNSW_TOKENS_PER_SECOND = 2000  # inserted by one thread, about: until a first build of this run has been timed
BUDGET = "seconds of the budget"  # the stage that a recommendation's progress tells of
DEMO = (("exact", "exact MaxSim"), ("plaid", "PLAID"), ("hnsw", "HNSW"))


def compare_indexes(
    prepared: Prepared,
    indexes: Sequence[plan.Spec] | None = None,
    k: int = 100,
    matched: float | None = plan.TARGET,
    max_queries: int | None = None,
    threads: int | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    progress: Progress | None = None,
    stop: Stop | None = None,
    force: bool = False,
    pool: str = "",
) -> Iterator[IndexRow]:
    """Measure indexes on identical vectors, one after the other, each in a process of its own.

    Args:
        prepared: Collection and vectors.
        indexes: (kind, settings) each; `plan.parse_spec` reads them from text; None takes the kinds that ask for it.
        k: Results a query.
        matched: Share of the exact results (the first k, at most 100) that the search of every kind is also tuned to,
            with its build left as it is; None measures the settings as given only.
        max_queries: Ask only the first so many queries.
        threads: For every library; all processors when None.
        metrics: Against judgements; a collection without judgements is compared without.
        progress: Called with (stage, done, total).
        stop: Asked several times a second; once it says yes the index at hand is given up, and what was finished has
            been yielded already.
        force: Measure again what was measured like this before.
        pool: How the vectors of all are pooled first, as `engine.pooling.parse_pool` reads it; the exact results that
            they are held to are those of every vector.

    Yields:
        One row an index, and one more where its search can be tuned, as soon as they are there; without numbers when no
        settings reach `matched`. A kind that is not installed gives a row with `error`.

    Raises:
        InputError: an unknown kind, setting or metric, or no queries.
    """
    steps = Steps.of(progress, stop)
    count, specs = threads or os.cpu_count() or 1, tuple(indexes or plan.default_indexes())
    base = prepared.experiment(k=k, metrics=tuple(metrics), pool=pool)
    wanted = plan.indexes(base, specs)
    check_fits(base, prepared)
    command = command_for(
        "compare-indexes", prepared.source, index=[plan.format_spec(*spec) for spec in specs], k=k, threads=count,
        matched=matched or 0, max_queries=max_queries, pool=pool or None,
    )  # fmt: skip
    shared = {"target": matched or 0.0, "command": command}
    try:
        for task in STAGES:
            prepared.encode(task, steps)
        asked = prepared.first(max_queries) if max_queries else prepared
        for experiment in wanted:
            if steps.stop():
                return
            yield from _compared(experiment, asked, count, matched, steps, force, shared)
    except Stopped:
        return


def _compared(
    experiment: Experiment, prepared: Prepared, threads: int, target: float | None, steps: Steps, force: bool,
    shared: dict[str, Any],
) -> Iterator[IndexRow]:  # fmt: skip
    """The rows of one index: as given, and the fastest measured one that reaches the target."""
    if not prepared.collection.judged_queries:  # the first queries may have none, where others do
        experiment = experiment.with_(metrics=())
    try:
        found = run_alone(experiment, prepared, threads, target, steps, force)
    except WorkbenchError as error:
        yield failed_row(experiment, prepared, str(error), **shared)
        return
    yield index_row(found.given, **shared)
    if not found.climbed or target is None:
        return
    reached = found.given.found_exact(TRUTH_DEPTH) >= target
    if found.tuned is None and not reached:
        sentence = f"no settings that were tried reach R@{min(experiment.k, TRUTH_DEPTH)} of {target:g}"
        yield failed_row(experiment, prepared, sentence, MATCHED, **shared)
    elif found.tuned is None or (reached and found.given.p50_ms <= found.tuned.p50_ms):
        note = "the settings as given are the fastest tried that reach the target"
        yield index_row(found.given, MATCHED, [note], **shared)
    else:
        yield index_row(found.tuned, MATCHED, **shared)


def recommend(
    prepared: Prepared,
    max_bytes: int | None = None,
    max_ms: float | None = None,
    min_quality: float = 0.99,
    seconds: float = 120.0,
    prefer: Literal["small", "fast"] | None = None,
    kinds: Sequence[str] = plan.RECOMMENDED,
    k: int = 100,
    progress: Progress | None = None,
    stop: Stop | None = None,
    pools: Sequence[str] = (),
    systems: Sequence[str] = (),
) -> Recommendation:
    """Find the smallest or fastest index, or whole system, that keeps the quality of exact search on a collection.

    Args:
        prepared: Collection and vectors.
        max_bytes: The most that the files which a search reads may take.
        max_ms: Median milliseconds of a single query.
        min_quality: Share of exact nDCG@10 to keep; without judgements, share of the exact first ten to find.
        seconds: What the search may spend once the vectors are there; one build that was begun is finished.
        prefer: "small" or "fast"; when None, "fast" if only `max_bytes` is given, else "small".
        kinds: Kinds to try.
        k: Results a query.
        progress: Called with (stage, done, total); the stage of the budget counts seconds.
        stop: Asked between measurements; a yes recommends from what was tried so far.
        pools: Pool settings to try beside the factors that are tried anyway, such as "tokens=64".
        systems: Whole systems to try too, such as "bm25 + single".

    Returns:
        The recommendation with its evidence, each a run.

    Raises:
        InputError: limits that make no sense, or no queries.
    """
    _check_limits(max_bytes, max_ms, min_quality, seconds)
    if prefer not in (None, *PREFERENCES):
        raise InputError(f"Unknown preference {prefer!r}: choose small or fast.")
    prefer = prefer or ("fast" if max_bytes is not None and max_ms is None else "small")
    limits = {"max_bytes": max_bytes, "max_ms": max_ms, "min_quality": min_quality, "prefer": prefer,
              "seconds": seconds}  # fmt: skip
    base = prepared.experiment(k=k)
    first, *rest = plan.tried(base, kinds, pools, systems)
    for entry in (first, *rest):
        check_fits(entry, prepared)
        if not base.metrics and entry.system and not late(parse_system(entry.system)):
            raise InputError(
                f"Without judgements the share of exact results decides, and {entry.system!r} does not look for those: "
                "leave it out, or judge some questions."
            )
    metric = "ndcg@10" if base.metrics else f"exact@{min(10, k)}"
    steps, halt = Steps.of(progress, None), stop or (lambda: False)
    for task in STAGES:
        prepared.encode(task, steps)
    prepared.truth(steps)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recommend-") as name:
        elsewhere = place() if prepared.source else None
        if elsewhere is not None:  # all are measured by tasks, so that their times were taken alike
            ((_, exact),) = elsewhere.each(measured, [first])
        else:
            exact = run(first, prepared=prepared, scratch=Path(name))
        tried, skipped = [Option(exact, exact, metric)], []
        climbs = [Climb(entry, exact, metric, min_quality) for entry in rest]
        if elsewhere is not None:
            found = {}
            for number, options in elsewhere.each(climb, climbs, seconds):
                found[number] = options
                steps("ways to search", len(found), len(climbs))
            tried += [option for number in sorted(found) for option in found[number]]
            skipped = [_spoken(entry) for number, entry in enumerate(rest) if number not in found]
            climbs = []
        for asked in climbs:
            spent = time.perf_counter() - start
            if halt() or spent + _guess(asked.experiment, prepared, tried) > seconds:
                skipped.append(_spoken(asked.experiment))
                continue
            steps(BUDGET, int(spent), math.ceil(seconds))
            tried += climb(asked, prepared, Path(name))
    chosen, reason = choose(tried, max_bytes, max_ms, min_quality, prefer)
    return Recommendation(
        chosen, tried[0], tuple(tried), reason,
        metric if base.metrics else "share of the exact first ten (there are no judgements)",
        limits, time.perf_counter() - start, tuple(skipped),
        command_for("recommend", prepared.source, k=k, **limits, index=tuple(kinds), pool=tuple(pools),
                    system=tuple(systems)),
        code_for(chosen) if chosen else "",
    )  # fmt: skip


def _check_limits(max_bytes: int | None, max_ms: float | None, min_quality: float, seconds: float) -> None:
    for name, value in (("max_bytes", max_bytes), ("max_ms", max_ms), ("seconds", seconds)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise InputError(f"Expected {name} above 0, got {value}: leave it out, or raise it.")
    if not 0 < min_quality <= 1:
        raise InputError(f"Expected min_quality above 0 and up to 1, got {min_quality}: 0.99 keeps 99% of exact.")


def _spoken(experiment: Experiment) -> str:
    if experiment.system:
        return experiment.system
    spec = plan.format_spec(experiment.index, experiment.settings)
    return f"{spec}, {experiment.pool or f'pool factor {experiment.pool_factor:g}'}"


def _guess(experiment: Experiment, prepared: Prepared, tried: Sequence[Option]) -> float:
    """Seconds that building is expected to take: in proportion to vectors, from the builds of the kind so far."""
    if experiment.system or is_kept(experiment, prepared):
        return 0.0
    kind, factor = experiment.index, experiment.pool_factor
    timed = [option.build_seconds * option.factor for option in tried if option.kind == kind and option.build_seconds]
    if timed:
        return max(timed) / factor
    return prepared.documents.n_tokens / factor / HNSW_TOKENS_PER_SECOND if kind == "hnsw" else 0.0


def demo(prepared: Prepared, progress: Progress | None = None) -> Iterator[DemoRow]:
    """Measure four ways to search a collection, one row as each is finished.

    Args:
        prepared: Its collection has judgements.
        progress: Called with (stage, done, total).

    Yields:
        Exact MaxSim, PLAID, HNSW, single vector.

    Raises:
        InputError: no judgements.
    """
    require_judgements(prepared.collection)
    tokens, base = prepared.documents.n_tokens, prepared.experiment()
    report = progress or Steps().progress
    for kind, label in DEMO:
        told = lambda stage, done, total, label=label: report(f"{label}: {stage}", done, total)  # noqa: E731
        yield demo_row(label, run(base.with_(index=kind), told, prepared=prepared), tokens)
    told = lambda stage, done, total: report(f"single vector: {stage}", done, total)  # noqa: E731
    yield demo_row("single vector", run(base.with_(system="single"), told, prepared=prepared), tokens)


def seed_noise(
    experiment: Experiment,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    metric: str | None = None,
    on_run: OnRun | None = None,
    processes: int | None = None,
) -> SeedNoise:
    """Run an experiment under several seeds.

    Args:
        experiment: Its own seed is replaced; a `seed` in its settings would hide them and is refused.
        seeds: Two or more, all different.
        metric: One of the experiment's; its first when None.
        on_run: See `sweep`.
        processes: See `sweep`.

    Returns:
        The noise.

    Raises:
        InputError: fewer than two seeds, a fixed seed in the settings, or a metric that is not the experiment's.
    """
    chosen = metric or next(iter(experiment.metrics), "")
    if chosen not in experiment.metrics:
        raise InputError(f"The experiment has no metric {chosen!r}: it has {', '.join(experiment.metrics)}.")
    wanted = plan.seeds(experiment, seeds)
    runs = sweep(experiment, [{"seed": entry.seed} for entry in wanted], on_run, processes=processes)
    return SeedNoise(chosen, {run.experiment.seed: run.mean[chosen] for run in runs}, tuple(runs))
