"""Hard negatives mined again while a model trains: the run in segments, each on the mistakes of the model before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.encoder import Encoder
from engine.training.data import TrainingData, read_training_data
from engine.training.mining import MiningSettings, mine


def segments(steps: int, mine_every: int, done: int = 0) -> Iterator[tuple[int, int]]:
    """The parts of a run between two minings.

    Args:
        steps: Steps of the whole run.
        mine_every: Steps of a part; 0 for one part.
        done: Steps already taken; the part that they end in comes first.

    Yields:
        (first, last): steps done at the part's beginning and at its end.
    """
    length = mine_every or steps
    for first in range(done // length * length, steps, length):
        yield first, min(first + length, steps)


def negatives_at(step: int, folder: Path, encoder: Encoder, data: TrainingData) -> TrainingData:
    """The rows with the negatives of one segment: read if they were mined before the run was interrupted, else mined.

    Args:
        step: Steps done when the segment begins.
        folder: Where the segments' rows are kept.
        encoder: The model of that step.
        data: The rows; as many negatives are mined as they have, one for pairs. Rows for which too few are found are
            left out of the segment.

    Returns:
        The segment's rows.
    """
    path = folder / f"negatives-{step}.jsonl"
    if not path.exists():
        training = encoder.model.training
        encoder.model.eval()
        mine(encoder, data, settings=MiningSettings(negatives=max(len(data.columns) - 2, 1))).save(path)
        encoder.model.train(training)
    return replace(read_training_data(path), counts=data.counts, name=data.name)
