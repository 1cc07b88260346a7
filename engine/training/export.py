"""A model as ONNX, for runtimes without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.encoder import Encoder
from engine.errors import UnsupportedError


def export_onnx(encoder: Encoder, path: str | Path) -> Path:
    """Write a model as ONNX: token ids and mask in, unit token vectors out; masks and prompts stay outside.

    Args:
        encoder: The model; it is put into evaluation mode.
        path: The file.

    Returns:
        The path.

    Raises:
        UnsupportedError: torch cannot export this model, or packages for it are missing.
    """
    import torch

    target = Path(path)
    module = _token_vectors(encoder.model).eval()
    ids = torch.arange(16, device=encoder.device).view(2, 8)
    mask = torch.ones_like(ids)  # a tensor of its own: the same one twice would become one input
    mask[1, 5:] = 0
    axes = {0: "texts", 1: "tokens"}
    try:
        torch.onnx.export(
            module,
            (ids, mask),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["token_embeddings"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "token_embeddings": axes},
            dynamo=False,
        )
    except Exception as error:  # the exporter's errors have no common type
        target.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise UnsupportedError(f"This model could not be exported ({reason}): install onnx.") from None
    return target


def _token_vectors(model: Any) -> Any:
    import torch

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            return self.model(features, task="query")["token_embeddings"]

    return TokenVectors()
