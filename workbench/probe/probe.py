"""Minimal pairs run as a check on a model: how often it prefers the text that answers, by phenomenon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import Encoder, maxsim
from engine.errors import InputError
from engine.statistics import CONFIDENCE
from workbench.probe.pairs import MinimalPair, phenomena

ALL = "all"


@dataclass(frozen=True)
class PairResult:
    """What a model makes of one pair.

    Args:
        pair: It.
        margin: MaxSim of the question with the right text minus that with the wrong one.
        mirror_margin: The same of the mirror, whose right text is the other one; None where there is no mirror.
        score: MaxSim of the question with the right text.
    """

    pair: MinimalPair
    margin: float
    mirror_margin: float | None
    score: float

    @property
    def right(self) -> bool:
        """Whether every question of the pair prefers its text; a tie prefers none."""
        return self.margin > 0 and (self.mirror_margin is None or self.mirror_margin > 0)


@dataclass(frozen=True)
class Phenomenon:
    """The pairs of one phenomenon, or all.

    Args:
        name: Such as "negation".
        pairs: How many.
        right: How many are right in both directions: a model that prefers one of the texts whatever is asked has none.
        low: Lower end of the 95% interval of the share of right pairs.
        high: Upper end.
        questions: Questions, mirrors included.
        questions_right: How many prefer their text; a coin would be right on half of them.
        margin: Mean margin of the questions, as a share of the score.

    Source:
        The interval is Wilson's (1927) for a share, which stays wide where all of few pairs are right.
    """

    name: str
    pairs: int
    right: int
    low: float
    high: float
    questions: int
    questions_right: int
    margin: float


@dataclass(frozen=True)
class Probe:
    """A model and what it makes of minimal pairs.

    Args:
        model: Its name.
        phenomena: One each, in the order of the pairs, and "all" at the end.
        results: One a pair.
    """

    model: str
    phenomena: tuple[Phenomenon, ...]
    results: tuple[PairResult, ...]


def probe(encoder: Encoder, pairs: Sequence[MinimalPair]) -> Probe:
    """Ask a model both questions of every pair.

    Args:
        encoder: The model.
        pairs: At least one.

    Returns:
        What came of it, each pair by itself and by phenomenon.

    Raises:
        InputError: no pairs, or a text of which the model scores nothing.
    """
    if not pairs:
        raise InputError("Expected minimal pairs, got none: give at least one.")
    mirrored = [pair for pair in pairs if pair.mirror]
    queries = encoder.encode_query([pair.question for pair in pairs] + [pair.mirror for pair in mirrored])
    documents = encoder.encode_document([text for pair in pairs for text in (pair.right, pair.wrong)])
    if documents.without_vectors:
        raise InputError("Of a text of these pairs the model scores nothing: use texts with words in them.")
    results, behind = [], iter(range(len(pairs), len(queries)))
    for position, pair in enumerate(pairs):
        texts = documents[2 * position : 2 * position + 2]
        right, wrong = maxsim(queries[position : position + 1], texts)[0].tolist()
        mirror = None
        if pair.mirror:
            at = next(behind)
            other = maxsim(queries[at : at + 1], texts)[0].tolist()
            mirror = other[1] - other[0]
        results.append(PairResult(pair, right - wrong, mirror, right))
    groups = [[found for found in results if found.pair.phenomenon == name] for name in phenomena(pairs)]
    named = [*zip(phenomena(pairs), groups, strict=True), (ALL, results)]
    return Probe(encoder.name, tuple(_summary(name, found) for name, found in named), tuple(results))


def _summary(name: str, results: Sequence[PairResult]) -> Phenomenon:
    from scipy.stats import binomtest

    right = sum(result.right for result in results)
    share = binomtest(right, len(results)).proportion_ci(CONFIDENCE, "wilson")
    margins = [(margin, result.score) for result in results for margin in _margins(result)]
    return Phenomenon(
        name, len(results), right, float(share.low), float(share.high), len(margins),
        sum(margin > 0 for margin, _ in margins),
        sum(margin / score if score else 0.0 for margin, score in margins) / len(margins),
    )  # fmt: skip


def _margins(result: PairResult) -> list[float]:
    return [result.margin] if result.mirror_margin is None else [result.margin, result.mirror_margin]


def as_json(found: Probe) -> dict[str, Any]:
    """The result as JSON values, pairs included."""
    from dataclasses import asdict

    return {
        "model": found.model,
        "phenomena": [asdict(entry) for entry in found.phenomena],
        "pairs": [
            {**asdict(result.pair), "margin": result.margin, "mirror_margin": result.mirror_margin,
             "right_in_all": result.right}
            for result in found.results
        ],
    }  # fmt: skip
