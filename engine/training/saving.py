"""A run's model in its folder, with its card and its record, and both read again or uploaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine import nested
from engine.encoder import Encoder
from engine.errors import CorruptDataError, NotFoundError
from engine.files import make_folder, replace_text
from engine.maxsim import scorers
from engine.training.card import model_card
from engine.training.checkpoints import REPORT, writing_tensors
from engine.training.development import Score
from engine.training.layout import use_shared_layout
from engine.training.report import Report
from engine.training.settings import TrainSettings


def save_model(encoder: Encoder, settings: TrainSettings, scorer: Any) -> None:
    """Write the model, for sentence-transformers and as far as it goes PyLate, into the folder of its run.

    The record of an earlier run goes first, and `save_report` comes last: a folder that has one holds the whole model
    of that run.

    Args:
        encoder: The trained model.
        settings: Name the folder, which is created when absent, and the scorer.
        scorer: That it was trained with; its weights are kept where it has some.

    Raises:
        InputError: the folder cannot be made.
        StorageError: the disk is full, read-only or gone; resuming saves the model of the last checkpoint again.
    """
    path = Path(settings.output)
    make_folder(path)
    with writing_tensors(path):
        for name in (REPORT, scorers.FILE, scorers.WEIGHTS):
            (path / name).unlink(missing_ok=True)
        encoder.model.save_pretrained(str(path), create_model_card=False)
        use_shared_layout(encoder.model, path)
        nested.write(encoder.model, path)
        scorers.save(scorer, settings.scorer, path)


def save_report(report: Report) -> None:
    """Write the card and the record of a run beside its model.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    path = Path(report.folder)
    replace_text(path / "README.md", model_card(report))
    replace_text(path / REPORT, json.dumps(report.as_dict(), indent=1))


def load_report(folder: str | Path, device: str = "auto") -> Report:
    """Read what `save_report` wrote.

    Args:
        folder: Where the model is.
        device: To load the model on.

    Returns:
        The report, without the alignments of the pairs that changed.

    Raises:
        NotFoundError: it holds no record of a run.
        CorruptDataError: the record cannot be read.
    """
    path = Path(folder) / REPORT
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        scores = [None if stored[name] is None else Score(**stored[name]) for name in ("before", "after")]
        same = ("reason", "steps", "seconds", "losses", "p_value", "counts", "development", "settings", "origin")
        values = {name: stored[name] for name in (*same, "parts")} | {"noise": stored.get("noise", 0.0)}
        values["kept"] = stored.get("kept", stored["steps"])
        values["measured"] = {int(step): value for step, value in stored.get("measured", {}).items()}
        values["chosen_on"] = stored.get("chosen_on", "")
        values["curves"] = {
            when: {float(factor): Score(**score) for factor, score in curve.items()}
            for when, curve in stored.get("curves", {}).items()
        }
    except FileNotFoundError:
        raise NotFoundError(
            f"{folder} holds no record of a training run: give the folder of a trained model."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptDataError(f"{path} cannot be read ({error}): train again with replace.") from None
    encoder = Encoder.load(str(folder), device=device, dtype="float32")
    return Report(
        folder=str(folder), before=scores[0], after=scores[1], changed=[], data_name=stored["data"], encoder=encoder,
        **values,
    )  # fmt: skip


def push_to_hub(folder: str | Path, name: str, private: bool = True) -> str:
    """Upload a saved model, without checkpoints.

    Args:
        folder: Where the model is.
        name: "user/model" on the Hugging Face hub; you must be logged in there.
        private: Whether only you see it.

    Returns:
        The address of the upload.

    Raises:
        NotFoundError: the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        ignored = ["checkpoints/*", "*.lock"]
        done = api.upload_folder(repo_id=name, folder_path=str(folder), ignore_patterns=ignored)
    except Exception as error:  # the client raises many types: no network, no token, no right
        reason = str(error).splitlines()[0]
        raise NotFoundError(f"{name} could not be uploaded ({reason}): log in and connect.") from None
    return str(done)
