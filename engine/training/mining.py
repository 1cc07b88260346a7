"""Hard negatives from our own index: what the model ranks high for a question and is not its answer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.encoder import Encoder
from engine.errors import InputError
from engine.indexes import create_index, index_class
from engine.training.data import TrainingData

Teacher = Callable[[Sequence[tuple[str, str]]], np.ndarray]


@dataclass(frozen=True)
class MiningSettings:
    """How negatives are chosen.

    Args:
        negatives: A row.
        depth: Ranks that are looked at.
        skip: Best ranks that are passed over, since they are often unjudged answers.
        margin: A negative must score below this share of the positive's score, by the model and by the teacher.
        index: Kind of the index.
        index_settings: Of the index, by name.
    """

    negatives: int = 1
    depth: int = 50
    skip: int = 0
    margin: float = 0.95
    index: str = "exact"
    index_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        index_class(self.index, self.index_settings).parse_settings(self.index_settings)
        if self.negatives < 1 or self.skip < 0 or self.depth < self.skip + self.negatives:
            raise InputError(
                f"Expected one negative or more among ranks {self.skip + 1} to {self.depth}: raise depth or lower skip."
            )
        if not self.margin > 0:
            raise InputError(f"Expected a margin above 0, got {self.margin}: 0.95 is usual.")


def mine(
    encoder: Encoder,
    data: TrainingData,
    corpus: Sequence[str] | None = None,
    settings: MiningSettings | None = None,
    teacher: Teacher | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TrainingData:
    """Add hard negatives to pairs.

    Args:
        encoder: The model whose mistakes are looked for; mine again with the trained one to refresh.
        data: Pairs; negatives that are there are replaced.
        corpus: Texts to find negatives in; the positives of the data when None.
        settings: Defaults when None.
        teacher: Scores (question, text) pairs, such as `CachedTeacher`; filters by the margin as well.
        progress: Called with (stage, done, all).

    Returns:
        The rows for which enough negatives were found; "unmined" counts the others, "cut" texts that were cut.

    Raises:
        InputError: no row has enough negatives.
    """
    settings = settings or MiningSettings()
    texts = list(dict.fromkeys([*(corpus or ()), *data.columns["positive"]]))
    positions = {text: i for i, text in enumerate(texts)}
    tell = progress or (lambda stage, done, total: None)
    documents = encoder.encode_document(texts, lambda done, n: tell("encode", done, n))
    queries = encoder.encode_query(data.columns["query"], lambda done, n: tell("queries", done, n))
    answers: dict[str, set[str]] = {}
    for query, positive in zip(data.columns["query"], data.columns["positive"], strict=True):
        answers.setdefault(query, set()).add(positive)
    with tempfile.TemporaryDirectory() as folder:
        index = create_index(settings.index, Path(folder) / "index", **settings.index_settings)
        index.add([str(i) for i in range(len(texts))], documents)
        rankings = index.search(queries, k=min(settings.depth, len(texts)))
        own = [
            {text: float(score) for text, score in _named(ranking.ids, ranking.scores, texts)} for ranking in rankings
        ]
    from engine.maxsim import maxsim

    kept: list[int] = []
    found: list[list[str]] = []
    for row, scores in enumerate(own):
        tell("choosing negatives", row + 1, len(own))
        query, positive = data.columns["query"][row], data.columns["positive"][row]
        bound = scores.get(positive)
        if bound is None:
            bound = float(maxsim(queries.select([row]), documents.select([positions[positive]]))[0, 0])
        candidates = [text for text in list(scores)[settings.skip :] if text not in answers[query]]
        candidates = [text for text in candidates if scores[text] < settings.margin * bound]
        if teacher is not None and candidates:
            candidates = _filter(teacher, query, positive, candidates, settings)
        if len(candidates) >= settings.negatives:
            kept.append(row)
            found.append(candidates[: settings.negatives])
    if not kept:
        raise InputError(f"No row of {data.name} has {settings.negatives} negatives: raise depth or the margin.")
    columns = {name: [data.columns[name][row] for row in kept] for name in ("query", "positive")}
    for i in range(settings.negatives):
        columns[f"negative_{i + 1}"] = [negatives[i] for negatives in found]
    counts = {**data.counts, "kept": len(kept), "unmined": len(data) - len(kept), "cut": documents.truncated}
    return replace(data, columns=columns, scores=None, counts=counts)


def _named(ids: list[str], scores: np.ndarray, texts: list[str]) -> list[tuple[str, float]]:
    return [(texts[int(name)], float(score)) for name, score in zip(ids, scores, strict=True)]


def _filter(teacher: Teacher, query: str, positive: str, candidates: list[str], settings: MiningSettings) -> list[str]:
    """Keep what the teacher also finds clearly worse; its scores may be negative, so the margin is on their sigmoid."""
    scores = 1 / (1 + np.exp(-np.asarray(teacher([(query, text) for text in [positive, *candidates]]), np.float64)))
    bound = settings.margin * scores[0]
    return [text for text, score in zip(candidates, scores[1:], strict=True) if score < bound]
