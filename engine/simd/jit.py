"""Compilation of kernels: no GIL held, machine code kept in a cache that a read-only installation cannot break."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from engine.simd import features

Function = TypeVar("Function", bound=Callable[..., Any])

# What kernels are made for; `engine.simd.kernels` lowers it where a check fails.
state: dict[str, Any] = {"level": features.detected_level(), "tiles": False}


def kernel(function: Function) -> Function:
    """Compile a function with numba on its first call, without the GIL, cached between processes where possible.

    Args:
        function: A function in numba's language; it may call the intrinsics of `engine.simd.kernels`.

    Returns:
        The compiled function.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if _folder() is not None:
        with suppress(AttributeError, RuntimeError, OSError):  # an unknown numba: slower starts, the same results
            compiled._cache = _Cache(function)
    return compiled


class _Locator:
    """Keeps machine code apart by the sources of all kernels: numba itself looks at one file, not at what it calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno
        self._stamp = _sources(Path(function.__code__.co_filename).resolve().parent)
        # The level at this moment: numba asks for the path again, after a check may have lowered the level.
        self._path = str(_folder() / self._stamp / f"{state['level']}{'-tiles' * state['tiles']}")  # type: ignore[operator]

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator:
        return cls(function)

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return self._path

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - the base class has it as a list


class _Cache(FunctionCache):
    _impl_class = _Implementation


@cache
def _folder() -> Path | None:
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
def _sources(folder: Path) -> str:
    """Hash over the source files that a kernel of a folder can be made of: this package, its folder, and numba."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for part in sorted({Path(__file__).resolve().parent, folder}):
        for path in sorted(part.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def flat(array: np.ndarray) -> np.ndarray:
    """A one-dimensional view of an array that a kernel reads and does not write; copied only if it is not contiguous.

    The view looks writable, because numba would compile every kernel a second time for read-only memory maps.
    """
    array = np.ascontiguousarray(array)
    if array.flags.writeable and type(array) is np.ndarray:
        return array.reshape(-1)

    class Memory:
        __array_interface__ = {  # noqa: RUF012 - the protocol wants a dictionary
            "version": 3,
            "shape": (array.size,),
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
        }
        owner = array  # numpy keeps this object, and so the memory, alive

    return np.asarray(Memory())
