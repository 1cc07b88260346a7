"""Fusion: what several parts of a system found becomes one result, by ranks or by scores, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from engine.checks import require_known, require_whole
from engine.errors import InputError
from workbench.systems.stages import Found, converted, in_order

RANK, SCORE, CV = "rank", "score", "cv"


@dataclass(frozen=True)
class FusionOptions:
    """How the results of several parts become one.

    Args:
        by: "rank" adds weight / (constant + rank) of each part (reciprocal rank fusion: Cormack, Clarke and Buettcher,
            2009); "score" adds weight x score, each part's scores of a question brought to 0 to 1 (Bruch, Gai and
            Ingber, 2023), 0 where a part did not find the document.
        weights: One a part, such as "0.3/0.7"; "" weighs all alike; "cv" chooses by cross-validation on judged
            questions.
        constant: Of "rank".
        k: Documents that are sent on; 0 sends on all.
        seed: Of "cv": which questions are held out together.
    """

    by: str = RANK
    weights: str = ""
    constant: int = 60
    k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in (RANK, SCORE):
            raise InputError(f"Unknown fusion {self.by!r}: choose by={RANK} or by={SCORE}.")
        for name in ("constant", "k", "seed"):
            require_whole(name, getattr(self, name), least=0)

    @property
    def chosen(self) -> bool:
        """Whether judged questions choose the weights."""
        return self.weights == CV

    def fixed(self, parts: int) -> tuple[float, ...]:
        """The weights as they were given, or alike, adding up to 1."""
        values = (
            [float(word) for word in self.weights.split("/")] if self.weights and not self.chosen else [1.0] * parts
        )
        return tuple(value / sum(values) for value in values)


def read_fusion(given: Mapping[str, str], parts: int) -> FusionOptions:
    """Check the options behind brackets.

    Args:
        given: Names and words.
        parts: How many parts are fused.

    Returns:
        The options.

    Raises:
        InputError: an unknown option, or an impossible value.
    """
    known = {entry.name: entry for entry in fields(FusionOptions)}
    require_known(given, known, "A fusion")
    options = FusionOptions(
        **{name: converted("fusion", name, word, str(known[name].type)) for name, word in given.items()}
    )
    try:
        weights = options.fixed(parts)
        sound = len(weights) == parts and all(0 <= weight <= 1 for weight in weights)
    except (ValueError, ZeroDivisionError):
        sound = False
    if not sound:
        raise InputError(
            f"Expected weights of {parts} parts as {'/'.join(['1'] * parts)} or {CV}, got {options.weights!r}: give "
            "one of 0 or more for each part."
        )
    return options


def fuse(
    found: Sequence[Found], options: FusionOptions, weights: Sequence[float], ties: np.ndarray, k: int | None = None
) -> Found:
    """Make one result of several.

    Args:
        found: What each part found.
        options: See `FusionOptions`.
        weights: One a part.
        ties: int64 [documents], rank of each id.
        k: Documents that are kept; all when None.

    Returns:
        Every document that some part found, best first, ties by id.
    """
    every = np.concatenate([part.positions for part in found])
    documents, column = np.unique(every, return_inverse=True)
    added = np.concatenate([weight * _worth(part, options) for part, weight in zip(found, weights, strict=True)])
    scores = np.bincount(column, added, len(documents)).astype(np.float32)
    order = in_order(scores, documents, ties)[:k]
    notes = tuple(dict.fromkeys(note for part in found for note in part.notes))
    return Found(documents[order], scores[order], notes)


def _worth(part: Found, options: FusionOptions) -> np.ndarray:
    """What each document of a part gets before its weight, float64 [n]."""
    if options.by == RANK:
        return 1.0 / (options.constant + 1 + np.arange(len(part.positions)))
    scores = part.scores.astype(np.float64)
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones(len(scores))
