"""Compilation of kernels: no GIL held, machine code kept in a cache that a read-only installation cannot break."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache, update_wrapper
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import typeof_impl

from engine.simd import levels

OPTIONS: Any = {"nogil": True, "error_model": "numpy"}
_config: Any = numba.config  # its settings are known at run time only


class Kernel:
    """A function in numba's language that is compiled when it is first needed: called, or called by another one.

    Until then nothing is decided; the level of instructions is looked up with the first compilation.

    Args:
        function: The function; it may call other kernels and the intrinsics of this package.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function
        self._dispatcher: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Call what it compiles to."""
        return self.dispatcher(*arguments)

    @property
    def dispatcher(self) -> Any:
        """The compiled function."""
        if self._dispatcher is None:
            with global_compiler_lock:  # numba's own: another thread may need this kernel while it compiles
                if self._dispatcher is None:
                    self._dispatcher = self._make()
        return self._dispatcher

    def _make(self) -> Any:
        """With the cache of the level in force.

        numba's own cache looks at the file of a function and not at what it calls. So the folder that it is given is
        named by all sources that a kernel can be made of, and by the level.
        """
        level, folder = levels.chosen(), cache_folder(Path(self.function.__code__.co_filename).resolve().parent)
        if folder is None:
            return numba.njit(**OPTIONS)(self.function)
        before, _config.CACHE_DIR = _config.CACHE_DIR, str(folder / level.name)
        try:
            return numba.njit(cache=True, **OPTIONS)(self.function)
        finally:
            _config.CACHE_DIR = before


@typeof_impl.register(Kernel)
def _typeof_kernel(value: Kernel, _: Any) -> Any:
    """A kernel that another one calls is to numba what it compiles to."""
    return numba.types.Dispatcher(value.dispatcher)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first use, without the GIL, cached between processes where possible; see `Kernel`."""
    return Kernel(function)


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
