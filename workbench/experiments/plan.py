"""Plan: which experiments answer a question, each function a list of them in the order in which they are run."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.indexes import classes, index_class
from engine.pooling import pool_values
from engine.typed import json_or_text
from workbench.experiments.experiment import Experiment

# Whole systems that it tries too, where nobody says what is tried.
TRIED_SYSTEMS = ("bm25", "single", "bm25 + single", "bm25:k=1000 > maxsim")

Spec = tuple[str, Mapping[str, Any]]  # kind of index, and its settings

TARGET = 0.95  # share of exact results that matched points reach
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, math.inf)
JOINT_FACTORS = (1.0, 2.0, 4.0, 8.0)  # of fewer bits
FEWER_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the methods after the first
BITS: tuple[int, ...] = (8, 4, 2, 1)
GRID_FACTORS = (1.0, 2.0, 4.0, 8.0)  # beside dimensions and bits
STORED_IN: dict[int, Spec] = {
    32: ("exact", {"dtype": "float32"}),
    16: ("exact", {}),
    **{bits: ("plaid", {"bits": bits}) for bits in BITS},
}  # bits a dimension -> the index that stores so many
RECOMMENDED = ("exact", "plaid", "hnsw")  # kinds that a recommendation tries

# What a recommendation builds, in the order of what is most often worth it: kind, build settings, pool factor.
TRIED: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("exact", {}, 1), ("plaid", {"bits": 4}, 1), ("plaid", {"bits": 2}, 1), ("plaid", {"bits": 4}, 2),
    ("plaid", {"bits": 2}, 2), ("plaid", {"bits": 1}, 1), ("exact", {}, 2), ("plaid", {"bits": 4}, 3),
    ("plaid", {"bits": 2}, 3), ("plaid", {"bits": 8}, 1), ("exact", {}, 4), ("plaid", {"bits": 4}, 4),
    ("hnsw", {"storage": "float8"}, 2), ("hnsw", {"storage": "float8"}, 1),
)  # fmt: skip


def grid(experiment: Experiment, over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> list[Experiment]:
    """All experiments of a sweep.

    Args:
        experiment: What stays the same.
        over: Field -> values, every combination ({"pool_factor": [1, 2], "settings.bits": [2, 4]}); or a list of
            changes, one an experiment.

    Returns:
        The experiments without repetitions, the last field changing fastest.

    Raises:
        InputError: an unknown field, an impossible value, or nothing to vary.
    """
    if isinstance(over, Mapping):
        for name, values in over.items():
            if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
                raise InputError(f"Expected a list of values for {name}, got {values!r}: write [..., ...].")
        changes = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    else:
        changes = [dict(change) for change in over]
    if not changes or changes == [{}]:
        raise InputError("Expected something to vary, got nothing: name a field and its values.")
    found: list[Experiment] = []
    for change in changes:
        candidate = experiment.with_(**change)
        if candidate not in found:
            found.append(candidate)
    return found


def seeds(experiment: Experiment, values: Sequence[int]) -> list[Experiment]:
    """An experiment under several seeds.

    Args:
        experiment: Its own seed is replaced; a `seed` in its settings would hide them and is refused.
        values: Two or more, all different.

    Raises:
        InputError: fewer than two seeds, or a fixed seed in the settings.
    """
    if len(set(values)) < 2:
        raise InputError(f"Expected two different seeds or more, got {list(values)}: add one.")
    if "seed" in experiment.settings:
        raise InputError("The settings of the index fix its seed: remove it from the settings.")
    return grid(experiment, {"seed": list(dict.fromkeys(values))})


def indexes(experiment: Experiment, specs: Sequence[Spec]) -> list[Experiment]:
    """An experiment with each of several indexes."""
    return [experiment.with_(index=kind, settings=dict(settings)) for kind, settings in specs]


def default_indexes() -> tuple[Spec, ...]:
    """The kinds that a comparison takes in where nobody names indexes, and the settings that they ask for."""
    return tuple((kind, dict(found.compared)) for kind, found in classes().items() if found.compared is not None)


def ladder(experiment: Experiment) -> tuple[dict[str, Any], ...]:
    """Search settings of an experiment's index, cheapest first; none where its search cannot be tuned."""
    kind = index_class(experiment.index, experiment.settings)
    return kind.ladder(kind.parse_settings(experiment.index_settings))


def pool_factors(
    experiment: Experiment, factors: Sequence[float] = FACTORS, methods: Sequence[str] = ("hierarchical",)
) -> list[Experiment]:
    """An experiment at several pool factors, methods in turn, factors rising.

    Args:
        experiment: What stays the same.
        factors: 1 or more each; 1 is added in front when it is missing, since the rest is compared with it.
        methods: How tokens are merged.

    Raises:
        InputError: a factor or method that makes no sense.
    """
    for value in factors:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 1:
            raise InputError(f"Expected pool factors of 1 or more, got {value!r}: 1 keeps every token.")
    ordered = sorted({1.0, *map(float, factors)})
    return grid(experiment, {"pool_method": list(methods), "pool_factor": ordered})


def pool_study(
    experiment: Experiment, factors: Sequence[float] = FACTORS, methods: Sequence[str] = ("hierarchical",),
    joint_factors: Sequence[float] = JOINT_FACTORS, bits: Sequence[int] = (),
) -> list[Experiment]:  # fmt: skip
    """All factors of the first method with the experiment's index, some at fewer bits in PLAID, some of other methods.

    Args:
        experiment: What stays the same.
        factors: Of the experiment's index; of the default ones, methods after the first take a few only.
        methods: How tokens are merged.
        joint_factors: For each number of bits.
        bits: Bits of a residual value in a PLAID index; none leaves the joint part out.

    Returns:
        The experiments, that of factor 1 first.
    """
    wanted = sorted({*factors, *(joint_factors if bits else ())})
    found: list[Experiment] = []
    for single in pool_factors(experiment, wanted, methods[:1]):
        found.append(single)
        if single.pool_factor in {1.0, *joint_factors}:
            found += indexes(single, [("plaid", {"bits": width}) for width in bits])
    others = [factor for factor in wanted if factor in FEWER_FACTORS] if tuple(factors) == FACTORS else wanted
    if methods[1:]:  # at factor 1 they are the same
        found += [e for e in pool_factors(experiment, others, methods[1:]) if e.pool_factor != 1]
    return found


def pool_grid(
    experiment: Experiment, pools: Sequence[str | float], dims: Sequence[int | None] = (None,),
    bits: Sequence[int] = (16,),
) -> list[Experiment]:  # fmt: skip
    """Ways to make vectors fewer, shorter and coarser, each with each.

    Args:
        experiment: What stays the same; its index makes room for those of the bits.
        pools: As `engine.pooling.parse_pool` reads them; method and protected tokens are the experiment's unless named.
        dims: Leading coordinates of the vectors; None is all.
        bits: A dimension, see `STORED_IN`.

    Returns:
        All vectors in 16 bits first, which the others are held to; then a coarse grid, the ends of every row, and then
        what lies between and the budgets, so that a study that is stopped early has seen all of the range.

    Raises:
        InputError: settings or bits that there are not, or nothing to vary.
    """
    for width in bits:
        if width not in STORED_IN:
            raise InputError(f"Expected bits among {', '.join(map(str, STORED_IN))}, got {width!r}: choose one.")
    if not (pools and dims and bits):
        raise InputError("Expected pool settings, dimensions and bits, got none of one: name one of each.")
    kept = {"pool_method": experiment.pool_method, "pool_protected": experiment.pool_protected}
    first = experiment.with_(index="exact", settings={}, pool="", dim=None, **kept)
    alone = [pool for pool in pools if set(pool_values(pool)) <= {"factor"}]
    alone.sort(key=lambda pool: pool_values(pool).get("factor", 1))
    rows = (
        [*_levels([{**kept, "pool": pool} for pool in alone]),
         *((1, {**kept, **_spread(pool)}) for pool in pools if pool not in alone)],
        _levels([{"dim": dim} for dim in sorted(dims, key=lambda dim: -(dim or 2**62))]),
        _levels([{"index": STORED_IN[width][0], "settings": STORED_IN[width][1]} for width in sorted(bits)[::-1]]),
    )  # fmt: skip
    found = [first]
    late = lambda point: (max(level for level, _ in point), sum(level for level, _ in point))  # noqa: E731
    for point in sorted(itertools.product(*rows), key=late):  # of equal ones in the order of the rows
        candidate = first.with_(**{name: value for _, change in point for name, value in change.items()})
        if candidate not in found:
            found.append(candidate)
    return found


def _spread(pool: str | float) -> dict[str, Any]:
    """The fields of an experiment that pool settings name."""
    named = {f"pool_{name}": value for name, value in pool_values(pool).items() if name in ("method", "protected")}
    return {"pool": pool, **named}


def _levels(row: Sequence[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Each change of a row with how late it comes: the ends at once, then the middle, then the quarters."""

    def level(place: int) -> int:
        low, high, depth = 0, len(row) - 1, 0
        while place not in (low, high):
            middle, depth = (low + high) // 2, depth + 1
            low, high = (middle, high) if place >= middle else (low, middle)
        return depth

    return [(level(place), change) for place, change in enumerate(row)]


def tried(
    experiment: Experiment, kinds: Sequence[str] = RECOMMENDED, pools: Sequence[str] = (),
    systems: Sequence[str] = (),
) -> list[Experiment]:  # fmt: skip
    """What a recommendation builds: exact search first, which the others are held to.

    Args:
        experiment: What stays the same.
        kinds: To try.
        pools: Pool settings to try too, with each way that keeps every vector.
        systems: Whole systems to try too, behind the indexes.

    Raises:
        InputError: a kind that no plan tries, or pool settings or a system that cannot be.
    """
    unknown = next((kind for kind in kinds if kind not in RECOMMENDED), None)
    if unknown is not None:
        raise InputError(f"No plan tries the index kind {unknown!r}: choose among {', '.join(RECOMMENDED)}.")
    first, *rest = TRIED
    found = [
        experiment.with_(index=kind, settings=settings, pool_factor=factor)
        for kind, settings, factor in (first, *(entry for entry in rest if entry[0] in kinds))
    ]
    whole = [entry for entry in found if entry.pooling.keeps_all and entry.index in kinds]
    more = [entry.with_(pool=pool) for entry in whole for pool in pools]
    whole_systems = [experiment.with_(system=text) for text in dict.fromkeys(systems)]
    return [*found, *(entry for entry in more if entry not in found), *whole_systems]


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read an index and its settings from one word.

    Args:
        text: Such as "plaid" or "hnsw:neighbours=100,storage=float8".

    Returns:
        The kind, and its settings.

    Raises:
        InputError: an unknown kind, or a setting without a value.
    """
    kind, _, rest = text.partition(":")
    index_class(kind)
    settings = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"Expected name=value after {kind!r}, got {part!r}: write {kind}:name=value,name=value.")
        name = name.strip()
        if name in settings:
            raise InputError(f"{text!r} gives {name} twice: keep one of the two.")
        settings[name] = json_or_text(value)
    return kind, settings


def format_spec(kind: str, settings: Mapping[str, Any]) -> str:
    """Write an index and its settings as `parse_spec` reads them."""
    parts = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items())
    return ":".join(filter(None, [kind, ",".join(parts)]))
