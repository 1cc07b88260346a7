"""Compilation of kernels at their first use, for the level in force, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import typeof_impl

from engine.simd import choice
from engine.simd.machine_code import OPTIONS, cache_folder

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
        level, folder = choice.chosen(), cache_folder(Path(self.function.__code__.co_filename).resolve().parent)
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
