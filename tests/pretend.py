"""A device that is not there: tensors that lie on "away:0", compute on the CPU, and refuse what a card would refuse.

They do not meet tensors of another device (numbers of no dimension aside), do not become NumPy arrays, and keep their
dtype. What is found so is code that puts something on the wrong device or reads it without copying it; nothing is said
on speed, memory or a card's own rounding. A device that was registered stays, so this needs a process of its own:
`tests/device_checks.py`, which `tests/test_devices.py` starts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

KIND = "away"
MOVES = ("aten::_to_copy", "aten::copy_", "aten::to")


class Away(torch.Tensor):
    """A tensor on the pretended device; what it holds lies in `here`."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Away:
        away = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            layout=here.layout, device=torch.device(f"{KIND}:0"), requires_grad=False,
        )  # fmt: skip
        away.here = here.detach()
        return away

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Away({self.here!r})"

    def tolist(self) -> Any:
        """Values of the tensor; a card copies them by itself."""
        return self.here.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as a card refuses it."""
        raise TypeError("can't convert a tensor of another device to numpy: copy it to the CPU first")

    def __array__(self, dtype: Any = None) -> Any:
        """Refused in the same way."""
        return self.numpy()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """Makes tensors of the device where one is asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: checked as a card would check it, computed on the CPU."""
    tensors: list[torch.Tensor] = []
    tree_map(lambda value: tensors.append(value) if isinstance(value, torch.Tensor) else None, (args, kwargs))
    away = any(isinstance(tensor, Away) for tensor in tensors)
    name = func._schema.name
    if name == "aten::_fused_sdp_choice":
        return 0  # plain products: the fused kernels of a card are not here
    if away and name not in MOVES:
        strangers = [tensor for tensor in tensors if not isinstance(tensor, Away) and tensor.ndim]
        indices = name.startswith("aten::index") and all(tensor.dtype == torch.int64 for tensor in strangers)
        if strangers and not indices:  # a card takes an index from the CPU, and copies it
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {KIND}:0 and cpu")
    given = dict(kwargs)
    if given.get("device") is not None:
        away, given["device"] = torch.device(given["device"]).type == KIND, torch.device("cpu")
    inner, given = tree_map(lambda value: value.here if isinstance(value, Away) else value, (args, given))
    result = func(*inner, **given)
    if func._schema.is_mutable and name.endswith("_"):
        return args[0]
    if not away:
        return result
    return tree_map(lambda value: Away(value) if isinstance(value, torch.Tensor) else value, result)


class Module(_DummyBackendModule):
    """What torch asks a device about itself."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Types of autocast."""
        return [torch.float16, torch.bfloat16]

    def is_autocast_enabled(self) -> bool:
        """Never: the code here says itself what it computes in."""
        return False


def begin() -> torch.library.Library:
    """Register the device in this process, for good; keep what comes back."""
    _setup_privateuseone_for_python_backend(KIND, backend_module=Module())
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # `.data = ` would leave `here` as it was
    made = torch.library.Library("aten", "IMPL")

    def empty_strided(size: Any, stride: Any, **options: Any) -> Away:  # asked for below the mode, for lists as indices
        return Away(torch.empty_strided(size, stride, **{**options, "device": "cpu"}))

    def empty(size: Any, **options: Any) -> Away:
        return Away(torch.empty(size, **{**options, "device": "cpu"}))

    def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        plain = [side.here if isinstance(side, Away) else side for side in (target, source)]
        plain[0].copy_(plain[1])
        return target

    made.impl("_copy_from", copy_from, "PrivateUse1")
    made.impl("empty_strided", empty_strided, "PrivateUse1")
    made.impl("empty.memory_format", empty, "PrivateUse1")
    return made
