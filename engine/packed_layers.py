"""Linear layers in bfloat16 on a CPU, with their weights laid out once, where torch lays them out at every call.

What lies between them stays in float32: measured, that halves the error of scores, and products are where the time is.
"""

from __future__ import annotations

from typing import Any

import torch


class PackedLinear(torch.nn.Linear):
    """A linear layer in bfloat16 between activations of any dtype, for inference; gradients go the usual way.

    Args:
        layer: The layer whose parameters it takes over, rounded to bfloat16.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.to(torch.bfloat16)
        self._packed: tuple[tuple[int, int], torch.Tensor] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[.., in_features] to [.., out_features] of the same dtype."""
        weight, values = self.weight, input.to(torch.bfloat16)
        if torch.is_grad_enabled() or weight.dtype != torch.bfloat16 or weight.device.type != "cpu":
            return super().forward(values.to(weight.dtype)).to(input.dtype)
        stamp = weight.data_ptr(), weight._version
        packed = self._packed
        if packed is None or packed[0] != stamp:
            packed = self._packed = stamp, torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        return torch.ops.mkldnn._linear_pointwise(values, packed[1], self.bias, "none", [], "").to(input.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weights, which can be neither copied nor sent to another process."""
        return {**self.__dict__, "_packed": None}


def pack_layers(model: torch.nn.Module) -> int:
    """Replace the linear layers of a model on the CPU by ones in bfloat16, in place; the rest stays as it is.

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
            if type(child) is torch.nn.Linear:
                setattr(parent, name, PackedLinear(child))
                replaced += 1
    return replaced


def _works() -> bool:
    """Whether this torch can, and agrees with its usual layer: these operations are what its compiler uses."""
    layer = torch.nn.Linear(48, 32)
    values = torch.linspace(-1, 1, 3 * 48).view(3, 48)
    with torch.inference_mode():
        expected = layer(values)
        try:
            found = PackedLinear(layer)(values)
        except (RuntimeError, AttributeError, NotImplementedError):
            return False
        return bool(torch.allclose(found, expected, atol=0.02))
