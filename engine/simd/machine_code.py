"""Where the machine code of kernels is kept: in a cache that a read-only installation cannot break."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numba

OPTIONS: Any = {"nogil": True, "error_model": "numpy"}  # of every compilation


@cache
def cache_folder(sources: Path) -> Path | None:
    """The folder for the machine code of kernels whose sources lie in a folder, or None if none can be written."""
    folder = _writable()
    return None if folder is None else folder / _stamp(sources)


@cache
def _writable() -> Path | None:
    """The first folder for machine code that can be written, or None."""
    import platformdirs

    chosen = os.environ.get("WORKBENCH_KERNEL_CACHE")
    user = platformdirs.user_cache_dir("late-interaction-workbench", appauthor=False)
    for folder in (
        [Path(chosen)] if chosen else [Path(user) / "kernels", Path(tempfile.gettempdir()) / f"kernels-{_user()}"]
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        if not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid():  # never run another user's machine code
            return folder
    return None


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


@cache
def _stamp(folder: Path) -> str:
    """Hash over the source files that a kernel of a folder can be made of: this package, its folder, and numba."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for part in sorted({Path(__file__).resolve().parent, folder}):
        for path in sorted(part.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
