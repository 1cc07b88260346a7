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
    _check_trackers(settings.report_to)


def _check_trackers(names: tuple[str, ...]) -> None:
    """Begin each tracker once: an unknown one, or one that is not installed, says so when it begins."""
    from transformers.integrations import get_reporting_integration_callbacks

    for name in names if names not in (("all",), ("none",)) else ():
        try:
            for begin in get_reporting_integration_callbacks([name]):
                begin()
        except (ValueError, RuntimeError, ImportError) as error:
            reason = str(error).partition(". ")[0].rstrip(".")
            raise InputError(f"The tracker {name!r} cannot be used ({reason}): install it, or name another.") from None


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
