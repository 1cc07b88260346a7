"""A model as ONNX, for runtimes without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.encoder import Encoder, Task
from engine.errors import InputError, UnsupportedError


def export_onnx(encoder: Encoder, path: str | Path, task: Task = "query") -> Path:
    """Write one side of a model as ONNX: token ids and mask in, vectors out; prompts and skipped words stay outside.

    The outputs are "token_embeddings" [texts, vectors, dim] and "vector_mask" [texts, vectors], 1 for one that counts:
    a model may put vectors of its own behind those of the tokens.

    Args:
        encoder: The model; it is put into evaluation mode.
        path: The file.
        task: "query" or "document"; in a model that weighs the tokens of queries their vectors differ.

    Returns:
        The path.

    Raises:
        InputError: another task.
        UnsupportedError: torch cannot export this model, or packages for it are missing.
    """
    import torch

    if task not in ("query", "document"):
        raise InputError(f"Expected the task query or document, got {task!r}.")
    target = Path(path)
    module = _token_vectors(encoder.model, task).eval()
    ids = torch.arange(16, device=encoder.device).view(2, 8)
    mask = torch.ones_like(ids)  # a tensor of its own: the same one twice would become one input
    mask[1, 5:] = 0
    axes, found = {0: "texts", 1: "tokens"}, {0: "texts", 1: "vectors"}
    try:
        torch.onnx.export(
            module,
            (ids, mask),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["token_embeddings", "vector_mask"],
            dynamic_axes={
                "input_ids": axes,
                "attention_mask": axes,
                "token_embeddings": found,
                "vector_mask": found,
            },
            dynamo=False,
        )
    except Exception as error:  # the exporter's errors have no common type
        target.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise UnsupportedError(f"This model could not be exported ({reason}): install onnx.") from None
    return target


def _token_vectors(model: Any, task: Task) -> Any:
    import torch

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            found = self.model(features, task=task)
            return found["token_embeddings"], found["attention_mask"].long()

    return TokenVectors()
