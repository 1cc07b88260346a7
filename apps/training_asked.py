"""What a person asks of the page Train, checked: data from a browser, settings, and what measures."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.own import read_files
from apps.text import asked
from apps.workspaces import models_folder
from engine import Collection
from engine.errors import InputError, WorkbenchError

if TYPE_CHECKING:
    from engine.training import TrainingData, TrainSettings

TYPES = (".jsonl", ".csv", ".tsv")
MOST_STEPS = 5000
MOST_MODELS, MOST_MODEL_BYTES = 50, 20_000_000_000  # of models that were trained in the browser
HELD_OUT = 0.4  # share of the judged questions that are never trained on
WATCHED_QUESTIONS, WATCHED_DOCUMENTS = 200, 1500  # that a run is measured with: among few documents all models are good
CHOOSING_QUESTIONS = 20  # with fewer, none are set apart to choose the step that is kept
BOUNDS = {"steps": (1, MOST_STEPS), "batch": (2, 256), "every": (1, MOST_STEPS), "seed": (0, 2**31)}


class Asked(NamedTuple):
    """A run as a person asked for it.

    Args:
        settings: What to train, and how.
        data: Rows.
        development: To measure with; None when nothing is judged.
        choosing: Judged questions that choose the step that is kept; None where rows do.
    """

    settings: TrainSettings
    data: TrainingData
    development: Collection | None
    choosing: Collection | None


def held_out(collection: Collection) -> tuple[Collection, Collection]:
    """Split the judged questions into those to train on and those to measure with.

    Args:
        collection: With judgements.

    Returns:
        For training, and for measuring; every `1 / HELD_OUT`-th question is in the second.

    Raises:
        InputError: too few judged questions.
    """
    from engine.training.validation import judged_parts

    judged = collection.judged_queries
    if len(judged) < 5:
        raise InputError(
            f"Expected 5 or more judged questions in {collection.name!r}, got {len(judged)}: choose a file of pairs."
        )
    return judged_parts(collection, HELD_OUT)


def read_request(request: Mapping[str, Any], collection: Collection) -> Asked:
    """What a person asked for, checked.

    Args:
        request: "source" ("questions", "texts", "judgements" or "file"), "file" (name and text), "base", "way" ("head",
            "lora", "all"), "loss", "scorer", "steps", "batch", "rate", "every", "factors", "seed" and "name".
        collection: That is open: its judgements are the data, or what the run is measured with.

    Returns:
        See `Asked`.

    Raises:
        InputError: a value that makes no sense, or data that cannot be used.
    """
    from engine.sampling import sample
    from engine.training import TrainSettings, collection_pairs, document_pairs
    from engine.training.first import first_settings
    from engine.training.validation import judged_apart

    check_room()
    choosing = None
    if request.get("source") == "questions":
        data, development = _questions(collection), collection
    elif request.get("source") == "file":
        data, development = _uploaded(request.get("file")), collection if collection.judged_queries else None
    elif request.get("source") == "texts":
        data, development = document_pairs(collection), collection if collection.judged_queries else None
        choosing, development = (None, None) if development is None else judged_apart(development)
    else:
        training, development = held_out(collection)
        data = collection_pairs(training)
    watched = None if development is None else sample(development, WATCHED_DOCUMENTS, WATCHED_QUESTIONS)
    data = data.check(None, watched)
    numbers = {name: _whole(name, request.get(name), *bounds) for name, bounds in BOUNDS.items()}
    usual = first_settings(asked(request, "way"))
    if choosing is None and len(set(data.columns["query"])) < CHOOSING_QUESTIONS:
        usual |= {"validation": 0.0, "patience": 0}
    settings = TrainSettings.from_dict({
        **usual, "base": asked(request, "base", "embedded"), "loss": asked(request, "loss"),
        "pool_factors": _factors(asked(request, "factors", "1")),
        "scorer": asked(request, "scorer", "maxsim"),
        "learning_rate": _rate(request.get("rate")), "max_steps": numbers["steps"], "batch": numbers["batch"],
        "evaluate_every": numbers["every"], "seed": numbers["seed"], "output": str(new_folder(asked(request, "name"))),
    })  # fmt: skip
    return Asked(settings, data, watched, choosing)


def _questions(collection: Collection) -> TrainingData:
    from workbench.embedded.train_questions import train_questions

    found = train_questions(collection)
    if found is None:
        raise InputError(f"{collection.name!r} has no training questions of its own: choose its texts, or a file.")
    return found


def first_request(way: str, collection: Collection) -> dict[str, Any]:
    """What the page asks for when nothing is changed but what learns."""
    from engine.training.first import first_settings
    from workbench.embedded.train_questions import count

    usual = first_settings(way)
    numbers = {"steps": "max_steps", "batch": "batch", "rate": "learning_rate", "every": "evaluate_every"}
    return {
        "source": "questions" if count(collection) else "texts",
        "way": way, "loss": "contrastive", "seed": "0", "name": "my model", "factors": "1",
        **{field: str(usual[name]) for field, name in numbers.items()},
    }  # fmt: skip


def check_room() -> None:
    """Refuse another model when those trained in the browser fill their place; none is ever removed by itself.

    Raises:
        InputError: there are as many, or as large, as there may be.
    """
    kept = [path for path in models_folder().iterdir() if path.is_dir()]
    size = sum(file.stat().st_size for path in kept for file in path.rglob("*") if file.is_file())
    if len(kept) >= MOST_MODELS or size >= MOST_MODEL_BYTES:
        raise InputError(
            f"Expected fewer than {MOST_MODELS} models and {MOST_MODEL_BYTES / 1e9:.0f} GB trained in the browser, got "
            f"{len(kept)} and {size / 1e9:.1f} GB: whoever runs this workbench removes some from its folder of models."
        )


def _uploaded(file: Any) -> TrainingData:
    from engine.training import read_training_data

    found = read_files([file] if file else [], TYPES, 1)
    if not found:
        raise InputError("There is no file of pairs yet: choose a .jsonl, .csv or .tsv with query and positive.")
    name, content = found[0]
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / f"pairs{Path(name).suffix.lower()}"
        path.write_bytes(content)
        try:
            return replace(read_training_data(path), name=name)
        except WorkbenchError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def _whole(name: str, value: Any, least: int, most: int) -> int:
    text = str(value).strip()
    if not text.isdecimal() or not least <= int(text) <= most:
        raise InputError(f"Expected {name} as a whole number from {least} to {most:,}, got {text!r}: correct it.")
    return int(text)


def _rate(value: Any) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise InputError(f"Expected a learning rate such as 3e-5, got {value!r}: correct it.") from None


def _factors(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"Expected pool factors such as 1, 2, 4, got {text!r}: correct them.") from None


def new_folder(name: str) -> Path:
    """A new folder of our own for a model; a browser gives a name, never a path."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "model"
    folder = models_folder() / slug
    number = 2
    while folder.exists():
        folder = models_folder() / f"{slug}-{number}"
        number += 1
    return folder
