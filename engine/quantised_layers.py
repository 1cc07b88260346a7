"""The linear layers of a model in 8 bits on a CPU: activations by row, weights by output feature, sums in int32."""

from __future__ import annotations

import numpy as np
import torch

from engine.errors import InputError

PART_WORK = 1 << 22  # multiply-adds: less than this is not worth a thread


class Int8Linear(torch.nn.Module):
    """A linear layer that computes in integers; for inference only.

    Its numbers are buffers, so that the state of a model names everything that it computes with.

    Args:
        layer: The float32 layer; its input features are a multiple of 8 and its output features of 16.
    """

    weights: torch.Tensor
    terms: torch.Tensor

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        from engine.simd.linear import WEIGHT_LIMIT

        self.in_features, self.out_features = layer.in_features, layer.out_features
        weights, terms = rounded_layers((layer,), WEIGHT_LIMIT)
        self.register_buffer("weights", torch.from_numpy(weights))
        self.register_buffer("terms", torch.from_numpy(terms))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[.., in_features] to [.., out_features], float32 on the CPU."""
        from engine.simd import threads
        from engine.simd.linear import linear

        weights, terms = self.weights.numpy(), self.terms.numpy()
        flat = values.detach().contiguous().view(-1).numpy()
        rows = len(flat) // self.in_features
        out = torch.empty(*values.shape[:-1], self.out_features)
        target = out.view(-1).numpy()
        parts = min(threads.thread_count(), 1 + rows * self.in_features * self.out_features // PART_WORK)
        bounds = np.linspace(0, rows, parts + 1).astype(np.int64)

        def part(k: int) -> None:
            linear(flat, bounds[k], bounds[k + 1], self.in_features, weights, terms, self.out_features, target)

        threads.run_parts(part, parts)
        return out


def rounded_layers(layers: tuple[torch.nn.Linear, ...], limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of linear layers beside each other as whole numbers with a scale for each output feature.

    Args:
        layers: Float32 layers of the same input.
        limit: The largest weight, 64 or 127.

    Returns:
        int8 from `linear.weight_panels`, and float32 [3 * features]: scales, sums and biases.
    """
    from engine.simd.linear import weight_panels

    weight = np.concatenate([layer.weight.detach().float().numpy() for layer in layers])
    biases = [np.zeros(len(p.weight)) if p.bias is None else p.bias.detach().float().numpy() for p in layers]
    scale = np.abs(weight).max(axis=1) / limit
    scale[scale == 0] = 1.0
    rounded = np.rint(weight / scale[:, None])
    terms = np.concatenate([scale, rounded.sum(axis=1) * scale, *biases]).astype(np.float32)
    return weight_panels(rounded.astype(np.int8)), terms


def quantise_layers(model: torch.nn.Module) -> int:
    """Replace the linear layers of a model on the CPU, in place; other layers stay in float32.

    Args:
        model: A model in float32.

    Returns:
        How many layers were replaced.

    Raises:
        InputError: this processor has none of the instructions, or no layer fits.
    """
    from engine.simd.choice import chosen
    from engine.simd.linear import available

    if not available():
        raise InputError(
            f"Expected AVX2 or AVX-512 for int8, this processor offers {chosen().name}: choose dtype float32."
        )
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and child.in_features % 8 == 0 and child.out_features % 16 == 0:
                setattr(parent, name, Int8Linear(child))
                replaced += 1
    if not replaced:
        raise InputError("Expected linear layers with features in multiples of 16, found none: choose dtype float32.")
    return replaced
