"""Study what fewer, shorter and coarser vectors cost: a plan of pool factors, or a grid, and the view of its runs."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.metrics import DEFAULT_METRICS
from engine.statistics import NOTICEABLE
from workbench.experiments import plan
from workbench.experiments.execute import check_fits, run
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import Prepared
from workbench.experiments.progress import Progress, Steps, Stop
from workbench.experiments.views.pooling import PoolPoint


def pool_study(
    prepared: Prepared,
    factors: Sequence[float] | None = None,
    methods: Sequence[str] = ("hierarchical",),
    metrics: Sequence[str] = DEFAULT_METRICS,
    index: str = "exact",
    settings: dict[str, Any] | None = None,
    protected: int = 1,
    bits: Sequence[int] = (),
    joint_factors: Sequence[float] = plan.JOINT_FACTORS,
    threshold: float = NOTICEABLE,
    k: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Stop | None = None,
    force: bool = False,
    dims: Sequence[int] = (),
    pools: Sequence[str] = (),
) -> Generator[PoolPoint, None, None]:
    """Measure a collection at several pool factors, one point the moment it is there.

    With dimensions, budgets, or 16 or 32 among the bits it is a grid: each factor and budget with each dimension and
    number of bits, see `plan.pool_grid`.

    Args:
        prepared: Collection and vectors.
        factors: 1 or more each; 1 is added in front when it is missing, since the rest is compared with it. None takes
            `plan.FACTORS`, in a grid `plan.GRID_FACTORS`.
        methods: Pooling methods; a grid has one.
        metrics: The first decides which questions got better or worse.
        index: Kind of index; a grid has those of its bits.
        settings: Settings of the index.
        protected: First tokens of a document that stay as they are.
        bits: Also build a PLAID index at each number of bits, at the joint factors; in a grid see `plan.STORED_IN`.
        joint_factors: See `plan.pool_study`.
        threshold: How far a question must move to count as better or worse.
        k: Results a query.
        seed: Decides the samples of the bootstrap and what the index draws.
        progress: Called with (stage, done, total).
        stop: Asked often; a yes ends the study after what was yielded.
        force: Measure again what is there already.
        dims: Leading coordinates of nested vectors.
        pools: Budgets beside the factors, as `engine.pooling.parse_pool` reads them: "tokens=64", "once".

    Yields:
        One point a method, factor and index, methods in turn, factors rising (a grid in the order of its plan); every
        difference is to the first one's run, that of all vectors with `index`.

    Raises:
        InputError: no judgements, or factors, budgets, dimensions, methods or metrics that make no sense, before
            anything is computed.
    """
    base = Experiment(**{
        **prepared.experiment().to_dict(), "metrics": tuple(metrics), "index": index, "settings": settings or {},
        "pool_protected": protected, "k": k, "seed": seed,
    })  # fmt: skip
    if not metrics:
        raise InputError("Expected at least one metric, got none: name one, such as ndcg@10.")
    lengths = [None if dim == prepared.dim else dim for dim in dims]  # whole vectors are one point by any name
    wanted = planned(base, factors, methods, bits, joint_factors, lengths, pools)
    for experiment in wanted:
        check_fits(experiment, prepared)
    report, first = progress or Steps().progress, None
    with tempfile.TemporaryDirectory(prefix="pool-study-") as scratch:
        for done, experiment in enumerate(wanted):
            if stop is not None and stop():
                return
            report(_stage(experiment, index), done, len(wanted))
            found = run(experiment, None, stop, force=force, prepared=prepared, scratch=Path(scratch))
            if found.status != "complete":
                return
            first = first or found
            yield PoolPoint(experiment, found, first, threshold)
    report("done", len(wanted), len(wanted))


def planned(
    base: Experiment, factors: Sequence[float] | None, methods: Sequence[str], bits: Sequence[int],
    joint_factors: Sequence[float], dims: Sequence[int | None], pools: Sequence[str],
) -> list[Experiment]:  # fmt: skip
    """What `pool_study` measures, in this order.

    Raises:
        InputError: what there is not, or a grid of several methods or another index than its bits ask for.
    """
    if not (dims or pools or {16, 32} & set(bits)):
        lone = plan.FACTORS if factors is None else factors
        if bits:
            return plan.pool_study(base, lone, methods, joint_factors, bits)
        return plan.pool_factors(base, lone, methods)
    if len(methods) != 1 or base.index != "exact" or base.settings:
        raise InputError(
            f"Expected one pooling method and exact search beside dimensions and budgets, got {', '.join(methods)} "
            f"with {plan.format_spec(base.index, base.settings)}: name bits instead of an index."
        )
    lone = [entry.pool_factor for entry in plan.pool_factors(base, plan.GRID_FACTORS if factors is None else factors)]
    return plan.pool_grid(base.with_(pool_method=methods[0]), [*lone, *pools], dims or (None,), bits or (16,))


def _stage(experiment: Experiment, index: str) -> str:
    factor = f"factor {experiment.pool_factor:g}"
    parts = [experiment.pool_method, ", ".join(filter(None, [factor, experiment.pool]))]
    if experiment.dim:
        parts.append(f"{experiment.dim} dimensions")
    if experiment.index != index:
        parts.append(plan.format_spec(experiment.index, experiment.settings))
    return ", ".join(parts)
