"""Linear layers in bfloat16 on a CPU with their weights laid out once, where torch lays them out at every call."""

from __future__ import annotations

from typing import Any

import torch


class PackedLinear(torch.nn.Linear):
    """A linear layer that keeps its weights also in the order that the processor reads them in.

    Gradients, other dtypes and other devices go the usual way.

    Args:
        layer: The layer whose parameters it takes over.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self._packed: tuple[tuple[int, int], torch.Tensor] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[.., in_features] to [.., out_features]."""
        weight = self.weight
        if input.dtype != torch.bfloat16 or weight.dtype != torch.bfloat16 or weight.device.type != "cpu":
            return super().forward(input)
        if torch.is_grad_enabled():
            return super().forward(input)
        stamp = weight.data_ptr(), weight._version
        packed = self._packed
        if packed is None or packed[0] != stamp:
            packed = self._packed = stamp, torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        return torch.ops.mkldnn._linear_pointwise(input, packed[1], self.bias, "none", [], "")

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weights, which can be neither copied nor sent to another process."""
        return {**self.__dict__, "_packed": None}


def pack_layers(model: torch.nn.Module) -> int:
    """Replace the linear layers of a model in bfloat16 on the CPU, in place; results stay the same.

    Args:
        model: Any model.

    Returns:
        How many layers were replaced; 0 where torch offers no such layers or they compute something else.
    """
    if not _works():
        return 0
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and child.weight.dtype == torch.bfloat16:
                setattr(parent, name, PackedLinear(child))
                replaced += 1
    return replaced


def _works() -> bool:
    """Whether this torch can, and agrees with its usual layer: these operations are what its compiler uses."""
    layer = torch.nn.Linear(48, 32).to(torch.bfloat16)
    values = torch.linspace(-1, 1, 3 * 48).view(3, 48).to(torch.bfloat16)
    with torch.inference_mode():
        try:
            found = PackedLinear(layer)(values)
        except (RuntimeError, AttributeError, NotImplementedError):
            return False
        return bool(torch.allclose(found.float(), layer(values).float(), atol=0.02))
