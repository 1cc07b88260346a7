"""Which step of a run is kept: questions of the training data that are set apart say so, and when to stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.collection import Collection
from engine.encoder import Encoder
from engine.errors import InputError
from engine.files import make_folder, replace_text
from engine.sampling import sample
from engine.training.checkpoints import CHECKPOINTS, load_weights, save_weights, writing_tensors
from engine.training.data import TrainingData
from engine.training.development import Score, pooled_scores

BEST = "best"  # in the folder of the checkpoints: the weights of the best step so far
FILE = "measured.json"
MOST_QUESTIONS, MOST_DOCUMENTS = 100, 300  # of what is set apart: it is measured many times
FEWEST = 3  # questions
FEWEST_JUDGED, CHOOSING = 40, 0.4  # judged questions that can spare some, and the share that they spare
CHOOSING_DOCUMENTS = 600  # among which they are asked


def judged_parts(collection: Collection, share: float) -> tuple[Collection, Collection]:
    """Split the judged questions of a collection in two, evenly over their order.

    Args:
        collection: With judgements.
        share: Of the questions in the second part.

    Returns:
        Two collections with all documents and questions of their own.
    """
    judged = collection.judged_queries
    second = {name for number, name in enumerate(judged) if int((number + 1) * share) > int(number * share)}

    def part(names: set[str], name: str) -> Collection:
        queries = {query: text for query, text in collection.queries.items() if query in names}
        qrels = {query: collection.qrels[query] for query in queries}
        return Collection(collection.documents, queries, qrels, name, collection.notes, collection.titles)

    return part(set(judged) - second, collection.name), part(second, f"{collection.name}, held out")


def judged_apart(collection: Collection, seed: int = 0) -> tuple[Collection | None, Collection]:
    """Take some judged questions to choose a step by, where nothing is trained on questions.

    Questions that texts make of themselves can get better while those of people get worse, so that people's choose.

    Args:
        collection: With judgements or without.
        seed: Decides among which documents they are asked.

    Returns:
        The questions that choose, among a sample of the documents, or None of fewer than 40; and the collection with
        the other questions, to measure with.
    """
    if len(collection.judged_queries) < FEWEST_JUDGED:
        return None, collection
    measuring, choosing = judged_parts(collection, CHOOSING)
    return replace(sample(choosing, CHOOSING_DOCUMENTS, seed=seed), name=f"{collection.name}, to choose"), measuring


def set_apart(data: TrainingData, share: float, seed: int = 0) -> tuple[TrainingData, Collection | None]:
    """Take some questions with all their rows out of the training data, to choose a step by.

    Args:
        data: Checked rows.
        share: Of the questions; 0 takes none. At most 100 are taken.
        seed: Decides which.

    Returns:
        The rows that are left, and the questions with their positives among other documents of the data (at most 300);
        None for a share of 0.

    Raises:
        InputError: fewer than three questions, or nothing left to train on.
    """
    if not share:
        return data, None
    questions = list(dict.fromkeys(data.columns["query"]))
    count = min(round(share * len(questions)), MOST_QUESTIONS)
    if count < FEWEST or len(questions) - count < 2:
        raise InputError(
            f"Expected {FEWEST} questions or more to set apart, got {count} of {len(questions)}: raise validation, or "
            "set it to 0 and keep the last step."
        )
    generator = np.random.default_rng(seed)
    chosen = {questions[i] for i in generator.choice(len(questions), count, replace=False)}
    own = [i for i, query in enumerate(data.columns["query"]) if query in chosen]
    rest = [i for i, query in enumerate(data.columns["query"]) if query not in chosen]
    documents = list(dict.fromkeys(data.columns["positive"][i] for i in own))
    columns = [name for name in data.columns if name != "query"]
    others = [text for i in (*own, *rest) for name in columns if (text := data.columns[name][i])]
    others = list(dict.fromkeys(text for text in others if text not in set(documents)))
    room = min(max(MOST_DOCUMENTS - len(documents), 0), len(others))
    documents += [others[i] for i in sorted(generator.choice(len(others), room, replace=False))]
    name_of = {text: f"d{i}" for i, text in enumerate(documents)}
    ids = {query: f"q{i}" for i, query in enumerate(q for q in questions if q in chosen)}
    qrels: dict[str, dict[str, int]] = {}
    for i in own:
        qrels.setdefault(ids[data.columns["query"][i]], {})[name_of[data.columns["positive"][i]]] = 1
    texts = {name: text for text, name in name_of.items()}
    apart = Collection(texts, {name: query for query, name in ids.items()}, qrels, f"{data.name}, set apart")
    return data.select(rest), apart


class Choice:
    """Measures steps, keeps the weights of the best one, and says when no better one is to be expected.

    Args:
        collection: From `set_apart`; None keeps the last step.
        output: Folder of the run.
        factors: Pool factors over which the nDCG@10 is averaged.
        patience: Measurements without a better one that end the run; 0 for none.
    """

    def __init__(
        self, collection: Collection | None, output: Path, factors: tuple[float, ...] = (1,), patience: int = 0
    ) -> None:
        self.collection, self.factors, self.patience = collection, factors, patience
        self.folder = output / CHECKPOINTS / BEST
        self.measured: dict[int, float] = {}

    @property
    def best(self) -> int | None:
        """The step with the best score so far, the first of equals; None where nothing is measured."""
        return max(self.measured, key=lambda step: (self.measured[step], -step), default=None)

    @property
    def exhausted(self) -> bool:
        """Whether the last measurements were none better than one before."""
        later = [step for step in self.measured if self.best is not None and step > self.best]
        return bool(self.patience) and len(later) >= self.patience

    def resume(self, step: int) -> None:
        """Take over what an interrupted run measured up to a step."""
        path = self.folder / FILE
        if self.collection is not None and path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.measured = {int(name): value for name, value in stored.items() if int(name) <= step}

    def measure(self, step: int, encoder: Encoder, scorer: Any) -> Score | None:
        """Measure the weights of a step, and keep them if they are the best so far.

        Args:
            step: Steps done.
            encoder: The model.
            scorer: Of the run.

        Returns:
            The score at the first factor, or None where nothing is set apart.
        """
        if self.collection is None:
            return None
        scores = pooled_scores(encoder, self.collection, self.factors, scorer)
        self.measured[step] = float(np.mean([score.ndcg for score in scores.values()]))
        make_folder(self.folder)
        if self.best == step:
            with writing_tensors(self.folder):
                save_weights(self.folder, encoder.model, scorer)
        replace_text(self.folder / FILE, json.dumps(self.measured))
        return next(iter(scores.values()))

    def take_best(self, model: Any, scorer: Any) -> int | None:
        """Put the weights of the best step into the model; returns that step, or None where nothing was measured."""
        if self.best is not None:
            load_weights(self.folder, model, scorer)
        return self.best
