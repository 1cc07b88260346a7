"""Between a model and what it was trained from, on the page Train: both curves, and the point that a person keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.plotting import drawn
from apps.training_asked import WATCHED_DOCUMENTS, WATCHED_QUESTIONS, check_room, new_folder
from apps.workspaces import models_folder, trained
from engine import Collection
from engine.errors import InputError
from workbench.figures import merge_curves

if TYPE_CHECKING:
    from workbench.experiments.merging import MergePoint


def folder_of(model: str) -> Path:
    """The folder of a model that was trained here.

    Args:
        model: As the pages name it, "trained/NAME".

    Raises:
        InputError: none of that name was trained here.
    """
    if model not in trained():
        raise InputError(f"Expected a model that was trained here, got {model!r}: train one first.")
    return models_folder() / model.partition("/")[2]


def measured_with(collection: Collection, others: Collection | None) -> list[Collection]:
    """What both ends are measured on: samples, so that a slider does not wait for hours.

    Args:
        collection: The new domain.
        others: What the model knew before, or None.

    Raises:
        InputError: nothing is judged in the new domain.
    """
    from engine.sampling import sample

    if not collection.judged_queries:
        raise InputError(
            f"Expected judged questions in {collection.name!r}, got none: open a collection with judgements to measure."
        )
    both = [collection, *([] if others is None or others.name == collection.name else [others])]
    return [sample(one, WATCHED_DOCUMENTS, WATCHED_QUESTIONS) for one in both]


def curve(
    model: str, collections: list[Collection], report: Callable[..., None], stop: threading.Event
) -> Iterator[list[MergePoint]]:
    """Measure every share; for `apps.live.follow`.

    Args:
        model: See `folder_of`.
        collections: See `measured_with`.
        report: Called with (shares done, shares in all).
        stop: Ends it after the share at hand.

    Yields:
        The points, once.

    Raises:
        InputError: it was stopped.
    """
    from engine.training.interpolation import Interpolation
    from workbench.experiments.merging import merge_curve

    def on_point(done: int, total: int) -> None:
        report(done, total)
        if stop.is_set() and done < total:
            raise InputError(f"Stopped after {done} of {total} shares: measure the way again to see it.")

    yield merge_curve(Interpolation(folder_of(model), device="cpu"), collections, on_point=on_point)


def told(model: str, points: list[MergePoint]) -> dict[str, Any]:
    """The curve as JSON values.

    Args:
        model: Whose it is.
        points: One a share.

    Returns:
        "model", "figure", and "points": "share" and by collection nDCG@10 and the difference to the start, with p.
    """
    return {
        "model": model, "figure": drawn(merge_curves(points)),
        "points": [
            {"share": point.share, "scores": [
                {"name": name, "ndcg": score.ndcg, "difference": point.differences[name].mean,
                 "p": point.p_values[name]}
                for name, score in point.scores.items()]}
            for point in points
        ],
    }  # fmt: skip


def keep(model: str, share: float) -> str:
    """Save the model at a share as one of its own.

    Args:
        model: See `folder_of`.
        share: 0 to 1.

    Returns:
        Its name, for the other pages.

    Raises:
        InputError: an unknown model, a share outside 0 to 1, or no room for another model.
    """
    from engine.training.interpolation import Interpolation

    source = folder_of(model)
    check_room()
    output = new_folder(f"{source.name} at {round(100 * share)}")
    Interpolation(source, device="cpu").save(share, output)
    return f"trained/{output.name}"
