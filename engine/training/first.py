"""Settings that a first run begins with, by what learns: a few hundred pairs, two cores, three minutes."""

from __future__ import annotations

from typing import Any

from engine.errors import InputError

CHOOSING = {"validation": 0.1, "document_length": 128}
FIRST: dict[str, dict[str, Any]] = {
    # The backbone sees each text once, so that steps cost little. Weights of tokens gain most, and hardly overfit.
    "head": {"train_only": "head", "max_steps": 150, "batch": 64, "learning_rate": 3e-4, "weights_rate": 2e-2,
             "temperature": 0.5, "evaluate_every": 30},
    "lora": {"lora_rank": 16, "max_steps": 40, "batch": 32, "learning_rate": 3e-4, "evaluate_every": 10},
    "all": {"max_steps": 40, "batch": 32, "learning_rate": 5e-5, "evaluate_every": 10},
}  # fmt: skip


def first_settings(learns: str) -> dict[str, Any]:
    """The settings of a first run, of which the step that is best on questions set apart is kept.

    Args:
        learns: "head" (what follows the backbone), "lora" or "all" (weights).

    Returns:
        Setting -> value, for `TrainSettings.from_dict`.

    Raises:
        InputError: an unknown part.
    """
    if learns not in FIRST:
        raise InputError(f"Expected one of {', '.join(FIRST)}, got {learns!r}: choose what is trained.")
    return {**CHOOSING, **FIRST[learns]}
