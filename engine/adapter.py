"""An adapter: what training changed in a model's linear layers, as two thin matrices for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CorruptDataError, InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

Factors = dict[str, "tuple[Tensor, Tensor]"]


def low_rank_changes(before: Mapping[str, Tensor], after: Mapping[str, Tensor], rank: int) -> Factors:
    """Factor the change of every matrix that training changed.

    Args:
        before: State of the model as it was.
        after: State of the trained model, the same names and shapes.
        rank: Of the factors; LoRA of this rank is kept exactly, anything else as nearly as the rank allows.

    Returns:
        Name of each changed matrix -> (left [out, rank], right [rank, in]) with weight change = left @ right.

    Raises:
        InputError: the states belong to different models, or something else than matrices changed.

    Source:
        Eckart and Young, 1936: the truncated singular value decomposition is the nearest matrix of a given rank.
    """
    import torch

    if {name: value.shape for name, value in before.items()} != {name: value.shape for name, value in after.items()}:
        raise InputError("Expected two states of one model: take the one that training started from.")
    found: Factors = {}
    for name, value in after.items():
        change = (value - before[name]).float()
        if not change.any():
            continue
        if change.ndim != 2:
            raise InputError(f"{name} changed and is no matrix: train with LoRA.")
        left, scales, right = torch.linalg.svd(change, full_matrices=False)
        kept = min(rank, len(scales))
        root = scales[:kept].sqrt()
        found[name] = (left[:, :kept] * root).contiguous(), (root[:, None] * right[:kept]).contiguous()
    return found


def save_adapter(factors: Factors, path: str | Path, share: float = 1.0) -> None:
    """Write factors in float16.

    Args:
        factors: From `low_rank_changes`.
        path: A .safetensors file.
        share: How far to go from the old weights to the new ones: 1 goes all the way.

    Source:
        Interpolation between the weights before and after: Wortsman and others, 2022 (WiSE-FT).
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, (left, right) in factors.items():
        tensors[f"{name}.left"] = (share * left).half().contiguous()
        tensors[f"{name}.right"] = right.half().contiguous()
    save_file(tensors, str(path))


def adapter_rank(path: str | Path) -> int:
    """The largest rank of an adapter's entries; its file must exist."""
    from safetensors import safe_open

    with safe_open(str(path), "numpy") as tensors:
        return max(tensors.get_slice(name).get_shape()[1] for name in tensors.keys() if name.endswith(".left"))  # noqa: SIM118


def add_adapter(model: nn.Module, path: str | Path) -> None:
    """Add an adapter to a model's weights, which from then on are plain weights.

    Args:
        model: In float32, changed in place.
        path: From `save_adapter`.

    Raises:
        CorruptDataError: the file cannot be read, or belongs to another model.
    """
    import torch
    from safetensors.torch import load_file

    try:
        tensors = load_file(str(path))
    except Exception as error:  # safetensors raises its own kind for a damaged file, OSError for an absent one
        reason = str(error).splitlines()[0]
        raise CorruptDataError(f"{path} cannot be read as an adapter ({reason}): restore the file.") from None
    own = dict(model.named_parameters())
    for name in sorted({key.rpartition(".")[0] for key in tensors}):
        left, right = tensors.get(f"{name}.left"), tensors.get(f"{name}.right")
        fits = left is not None and right is not None and name in own and left.shape[1:] == right.shape[:1]
        if not fits or own[name].shape != (left.shape[0], right.shape[1]):  # pyright: ignore[reportOptionalMemberAccess]
            raise CorruptDataError(f"{path} has an entry {name!r} that this model does not: it belongs to another one.")
        with torch.no_grad():
            own[name].addmm_(left.float().to(own[name].device), right.float().to(own[name].device))  # pyright: ignore
