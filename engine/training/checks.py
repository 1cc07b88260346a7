"""What a run refuses before it starts: settings and rows that do not fit together, texts of which nothing is scored."""

from __future__ import annotations

import math

from engine.encoder import Encoder
from engine.errors import InputError
from engine.training.data import TrainingData
from engine.training.losses import LOSSES
from engine.training.settings import TrainSettings


def check_fit(settings: TrainSettings, data: TrainingData) -> None:
    """Check that settings and rows fit together.

    Raises:
        InputError: they do not.
    """
    scored = LOSSES[settings.loss].loss.scored
    if scored and (data.scores is None or len(data.columns) < 3):
        raise InputError(
            f"Loss {settings.loss!r} needs scores for two or more documents a row, got {data.kind}: add teacher scores "
            "or choose a contrastive loss."
        )
    if scored and settings.mine_every:
        raise InputError(f"mine_every replaces negatives, and {settings.loss!r} needs the scored ones: set it to 0.")
    if len(data) < 2:
        raise InputError(f"Expected two rows or more, got {len(data)}: add data.")
    if not math.isfinite(settings.learning_rate):
        raise InputError("Expected a finite learning rate: correct it.")


def check_texts(encoder: Encoder, data: TrainingData) -> None:
    """Name a text of punctuation alone of which nothing is scored; the loss finds the rare others when they come."""
    for column, texts in data.columns.items():
        suspects = [i for i, text in enumerate(texts) if text and not any(map(str.isalnum, text))]
        if suspects:
            encode = encoder.encode_query if column == "query" else encoder.encode_document
            lengths = encode([texts[i] for i in suspects]).lengths
            for i, length in zip(suspects, lengths, strict=True):
                if not length:
                    raise InputError(
                        f"Nothing of the {column} {texts[i][:80]!r} of {data.name} is left to score, since the model "
                        "scores none of its tokens: remove this row."
                    )
