"""Weights of a fusion chosen by cross-validation: no question is answered with weights that it helped to choose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import Collection, Ranking, evaluate
from engine.collection import require_judgements
from engine.errors import InputError
from workbench.systems.fusion import FusionOptions, fuse
from workbench.systems.stages import Found

METRIC = "ndcg@10"
FOLDS = 5
MOST = 100  # combinations of weights that are tried at most
STEPS = (20, 10, 5, 4, 2, 1)  # parts of 1 that a weight is rounded to: the finest that stays within


@dataclass(frozen=True)
class Weights:
    """Weights of the parts of a fusion.

    Args:
        overall: One a part, adding up to 1: for questions without judgements.
        held_out: Text of a judged question -> the weights that the other questions chose.
        folds: How many groups of questions were held out in turn.
        tried: Combinations that were tried.
    """

    overall: tuple[float, ...]
    held_out: dict[str, tuple[float, ...]] = field(default_factory=dict)
    folds: int = 0
    tried: int = 0

    def of(self, text: str) -> tuple[float, ...]:
        """The weights with which a question is answered."""
        return self.held_out.get(text, self.overall)

    def describe(self) -> dict[str, Any]:
        """As JSON has it: the weights, and those of each group of questions with how many it has."""
        groups: dict[tuple[float, ...], int] = {}
        for weights in self.held_out.values():
            groups[weights] = groups.get(weights, 0) + 1
        held = [{"weights": list(weights), "questions": count} for weights, count in groups.items()]
        return {"weights": list(self.overall), "folds": self.folds, "tried": self.tried, "held_out": held}


def check_weights(collection: Collection) -> None:
    """Raise InputError unless weights can be chosen: with judgements of as many different questions as folds."""
    require_judgements(collection)
    texts = {collection.queries[query] for query in collection.judged_queries}
    if len(texts) < FOLDS:
        raise InputError(
            f"Expected {FOLDS} judged questions or more to choose weights with, {collection.name!r} has {len(texts)}: "
            "give weights such as weights=1/2."
        )


def choose_weights(
    found: Sequence[Sequence[Found]], options: FusionOptions, collection: Collection, ties: np.ndarray
) -> Weights:
    """Choose the weights with the best mean nDCG@10, overall and for each held out group of questions.

    Args:
        found: For each judged question in order, what each part found.
        options: How they are fused; its seed decides the groups.
        collection: With judgements.
        ties: int64 [documents], rank of each id.

    Returns:
        The weights; among equal ones those nearest to even.
    """
    queries, grid = collection.judged_queries, combinations(len(found[0]))
    ids = list(collection.documents)
    values = np.empty((len(grid), len(queries)))
    for row, weights in enumerate(grid):
        fused = (fuse(parts, options, weights, ties, 10) for parts in found)
        rankings = {q: Ranking([ids[i] for i in f.positions], f.scores) for q, f in zip(queries, fused, strict=True)}
        scores = evaluate(rankings, collection, [METRIC]).per_query[METRIC]
        values[row] = [scores[query] for query in queries]
    texts = [collection.queries[query] for query in queries]
    different = sorted(set(texts))
    shuffled = np.random.default_rng(options.seed).permutation(len(different))
    group = {different[place]: number % FOLDS for number, place in enumerate(shuffled)}
    groups = np.array([group[text] for text in texts])
    best = {fold: grid[_best(values[:, groups != fold])] for fold in range(FOLDS)}
    return Weights(grid[_best(values)], {text: best[group[text]] for text in texts}, FOLDS, len(grid))


def combinations(parts: int) -> list[tuple[float, ...]]:
    """Weights that add up to 1, nearest to even first."""
    for steps in STEPS:
        if math.comb(steps + parts - 1, parts - 1) <= max(MOST, parts):
            break
    cuts = itertools.combinations(range(steps + parts - 1), parts - 1)  # bars between stars
    found = [tuple(b - a - 1 for a, b in itertools.pairwise((-1, *cut, steps + parts - 1))) for cut in cuts]
    uneven = sorted(found, key=lambda c: (sum(value * value for value in c), c))
    return [tuple(value / steps for value in c) for c in uneven]


def _best(values: np.ndarray) -> int:
    """The row with the highest mean; the first of equal ones."""
    return int(np.argmax(np.round(values.mean(axis=1), 9)))
