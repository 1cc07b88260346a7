"""A model as ONNX, for runtimes without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.encoder import Encoder, Task
from engine.errors import InputError, UnsupportedError

Side = Literal["query", "document", "both"]
VECTORS = {"query": ("token_embeddings", "vector_mask"), "document": ("document_embeddings", "document_mask")}
EXPANDED = "query_expansion_positions"


def export_onnx(encoder: Encoder, path: str | Path, task: Side = "query") -> Path:
    """Write a model as ONNX: token ids and mask in, vectors out; prompts and skipped words stay outside.

    The outputs are "token_embeddings" [texts, vectors, dim] and "vector_mask" [texts, vectors], 1 for one that counts:
    a model may put vectors of its own behind those of the tokens. A model that expands its queries takes
    "query_expansion_positions" too, 1 for a token of the expansion.

    Args:
        encoder: The model; it is put into evaluation mode.
        path: The file.
        task: "query" or "document", since their vectors differ in a model that weighs the tokens of queries; or "both",
            which adds "document_embeddings" and "document_mask" to the outputs of queries.

    Returns:
        The path.

    Raises:
        InputError: another task.
        UnsupportedError: torch cannot export this model, or packages for it are missing.
    """
    import torch

    if task not in ("query", "document", "both"):
        raise InputError(f"Expected the task query, document or both, got {task!r}.")
    target = Path(path)
    sides: list[Task] = ["query", "document"] if task == "both" else [task]
    expands = "query" in sides and getattr(encoder.model[0], "query_expansion", None) is not None
    module = _token_vectors(encoder.model, sides).eval()
    ids = torch.arange(16, device=encoder.device).view(2, 8)
    mask = torch.ones_like(ids)  # a tensor of its own: the same one twice would become one input
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if expands:
        inputs[EXPANDED] = torch.zeros_like(ids)
        inputs[EXPANDED][1, 5:] = 1
    outputs = [name for side in sides for name in (VECTORS[side] if task == "both" else VECTORS["query"])]
    axes = {name: {0: "texts", 1: "tokens"} for name in inputs} | {name: {0: "texts", 1: "vectors"} for name in outputs}
    try:
        torch.onnx.export(
            module, tuple(inputs.values()), str(target), input_names=list(inputs), output_names=outputs,
            dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    except Exception as error:  # the exporter's errors have no common type
        target.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise UnsupportedError(f"This model could not be exported ({reason}): install onnx.") from None
    return target


def _token_vectors(model: Any, sides: list[Task]) -> Any:
    import torch

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = []
            for task in sides:
                features = dict(zip(("input_ids", "attention_mask", EXPANDED), inputs, strict=False))
                if task == "document":
                    features.pop(EXPANDED, None)
                told = self.model(features, task=task)
                found += [told["token_embeddings"], told["attention_mask"].long()]
            return tuple(found)

    return TokenVectors()
