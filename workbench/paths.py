"""Where this project keeps what it made on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from engine.errors import InputError

HOME_VARIABLE = "WORKBENCH_HOME"


def data_folder(*parts: str) -> Path:
    """A folder under the data directory of the platform, or under WORKBENCH_HOME; created when absent.

    Args:
        parts: Names of nested folders, such as "cache", "embeddings".

    Returns:
        The folder.

    Raises:
        InputError: it cannot be created or written.
    """
    home = os.environ.get(HOME_VARIABLE) or platformdirs.user_data_dir("late-interaction-workbench", appauthor=False)
    folder = Path(home).expanduser().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}): set {HOME_VARIABLE} to a folder.") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written: set {HOME_VARIABLE} to a writable folder.")
    return folder
