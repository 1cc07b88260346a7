"""Values that no score can be computed from, or that float16 cannot hold: found fast, and named by item and token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import InputError

BLOCK = 65536  # rows that are summed together


def check_finite(values: np.ndarray, offsets: np.ndarray, names: Sequence[str] | None) -> None:
    """See `TokenEmbeddings.check`."""
    # A sum over rows is finite exactly when every value is (float32 sums of unit vectors cannot overflow), and it
    # reads the values once; the exact search runs only after it failed.
    blocks = (values[start : start + BLOCK] for start in range(0, len(values), BLOCK))
    with np.errstate(over="ignore", invalid="ignore"):
        if all(np.isfinite(block.sum(axis=1, dtype=np.float32)).all() for block in blocks):
            return
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        place = _place(int(bad[0]), offsets, names)
        raise InputError(f"Expected finite vectors, got NaN or infinity in {place}: encode it again or leave it out.")


def check_range(values: np.ndarray, halves: np.ndarray, offsets: np.ndarray, names: Sequence[str] | None) -> None:
    """Raise InputError where a finite value became infinite in float16.

    Args:
        values: [total tokens, dim].
        halves: The same in float16.
        offsets: [n + 1] int64, of the items.
        names: n names for the error message; positions are used when absent.
    """
    for start in range(0, len(halves), BLOCK):
        # the sum of a row is finite only if all of it is; of a row that is not, the values decide
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.flatnonzero(~np.isfinite(halves[start : start + BLOCK].sum(axis=1, dtype=np.float32))) + start
        beyond = np.isinf(halves[rows]) & np.isfinite(values[rows])
        if beyond.any():
            row, column = np.argwhere(beyond)[0]
            raise InputError(
                f"Expected values that float16 can hold, up to {np.finfo(np.float16).max:,.0f}, got "
                f"{values[rows[row], column]:g} in {_place(int(rows[row]), offsets, names)}: scale the vectors down, "
                "or keep them in float32."
            )


def _place(row: int, offsets: np.ndarray, names: Sequence[str] | None) -> str:
    item = int(np.searchsorted(offsets, row, side="right")) - 1
    return f"token {row - int(offsets[item])} of {repr(names[item]) if names is not None else f'item {item}'}"
