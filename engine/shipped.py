"""Files that come with the project: inside its packages where it was installed, beside them in a clone."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NotFoundError

ROOT = Path(__file__).resolve().parents[1]


def shipped(name: str, package: str = "engine") -> Path:
    """Where a folder of the project's own files lies.

    A wheel puts `assets` and `notebooks` into our packages, since such names beside other people's packages would clash
    with theirs; a clone keeps them at its root.

    Args:
        name: Of the folder: "assets", or "notebooks" with package "workbench".
        package: The package that a wheel puts it into.

    Returns:
        The folder.

    Raises:
        NotFoundError: it is in neither place.
    """
    for folder in (ROOT / package / name, ROOT / name):
        if folder.is_dir():
            return folder
    raise NotFoundError(f"The folder {name} of this project is missing below {ROOT}: install the project again.")
