"""Nested (Matryoshka) dimensions: which leading coordinates of a model's vectors were trained to be vectors too."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.files import replace_text

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

FILE, KEY = "config_sentence_transformers.json", "nested_dimensions"


def nested_dimensions(model: MultiVectorEncoder) -> tuple[int, ...]:
    """The dimensions that a model was trained for, ascending, the whole one among them; none where it does not say."""
    own = next((part for part in reversed(list(model.children())) if hasattr(part, "nested")), model)
    return tuple(sorted(getattr(own, "nested", ())))  # type: ignore[arg-type]


def remember(model: MultiVectorEncoder, dimensions: Sequence[int]) -> None:
    """Let a model say what it was trained for, unless that is its whole vectors alone and it never said otherwise.

    `write` keeps it where none of its modules does.

    Args:
        model: Changed in place.
        dimensions: Below or at the dimension of its vectors, which is always among them.
    """
    whole = int(model.get_embedding_dimension() or 0)
    if nested_dimensions(model) or set(dimensions) - {whole}:
        own: Any = next((part for part in reversed(list(model.children())) if hasattr(part, "nested")), model)
        own.nested = sorted({*dimensions, whole})


def write(model: MultiVectorEncoder, folder: str | Path) -> None:
    """Keep what a model was trained for in its folder, beside what sentence-transformers and PyLate read there."""
    path = Path(folder) / FILE
    found = nested_dimensions(model)
    if len(found) > 1 and "nested" in vars(model):
        replace_text(path, json.dumps({**json.loads(path.read_text()), KEY: list(found)}, indent=1) + "\n")


def read(model: MultiVectorEncoder, name: str) -> None:
    """Take over what the folder or hub name of a model says, if it does.

    Args:
        model: As it was loaded.
        name: Where from.
    """
    from sentence_transformers.util import load_file_path

    path = load_file_path(name, FILE)
    stored = json.loads(Path(path).read_text(encoding="utf-8")).get(KEY) if path else None
    if isinstance(stored, list) and all(isinstance(dim, int) for dim in stored):
        model.nested = stored  # type: ignore[assignment]


def check_dimensions(dimensions: Sequence[int], whole: int | None, name: str) -> None:
    """Check that a model has dimensions.

    Raises:
        InputError: it has fewer.
    """
    too_large = next((dim for dim in dimensions if whole is not None and dim > whole), None)
    if too_large is not None:
        raise InputError(
            f"Expected dimensions from 1 to {whole}, that of the vectors of {name}, got {too_large}: choose smaller."
        )


def shorten(model: MultiVectorEncoder, dim: int, name: str) -> None:
    """Let a model give the leading coordinates of its vectors only, at their old length.

    Args:
        model: Changed in place. A warning says where it was not trained for so many.
        dim: How many coordinates.
        name: What a sentence calls the model.

    Raises:
        InputError: the model has fewer, or the number is none.
    """
    from engine.late_head import Prefix

    whole = model.get_embedding_dimension()
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1 or (whole is not None and dim > whole):
        raise InputError(
            f"Expected a dim from 1 to {whole}, the dimension of the model, got {dim!r}: choose one of these."
        )
    known = nested_dimensions(model)
    if dim not in known:
        names = f"was trained for {', '.join(map(str, known))}" if known else "names no dimensions it was trained for"
        warnings.warn(f"{name} {names}; its leading {dim} of {whole} may be poor vectors.", stacklevel=3)
    model.append(Prefix(dim))
