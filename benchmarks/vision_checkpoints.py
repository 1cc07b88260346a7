"""Tiny models that read images, of random weights in the shape of ColPali and ColQwen, made here in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PATCH = 28  # pixels of a ColQwen patch after merging: 2 by 2 of 14
WORDS = ["where", "is", "the", "total", "sum", "Question", "Query", "Describe", "image", "user", ":", "."]


def _tokenizer(marks: list[str], **named: str):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    extra = [mark for mark in marks if mark not in named.values()]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=extra, **named)


def colpali(folder: Path) -> Path:
    """A ColPali with 4 by 4 patches."""
    import torch
    from transformers import ColPaliConfig, ColPaliForRetrieval, ColPaliProcessor, PaliGemmaConfig
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    named = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    fast = _tokenizer([*named.values(), "<image>"], **named)
    pictures = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    pictures.image_seq_length = 16  # type: ignore[attr-defined]
    processor = ColPaliProcessor(image_processor=pictures, tokenizer=fast)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    known = len(processor.tokenizer) + 8  # type: ignore[attr-defined]
    sight = PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", **small, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "gemma", **small, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": known},
        image_token_index=4, projection_dim=16, hidden_size=16, vocab_size=known,
    )  # fmt: skip
    torch.manual_seed(0)
    ColPaliForRetrieval(ColPaliConfig(vlm_config=sight, embedding_dim=8)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def colqwen(folder: Path) -> Path:
    """A ColQwen2, whose grid follows the shape of the picture: a patch of 28 pixels a vector."""
    import torch
    from transformers import ColQwen2Config, ColQwen2ForRetrieval, ColQwen2Processor, Qwen2VLConfig
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    named = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "unk_token": "<unk>"}
    marks = ["<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"]
    fast = _tokenizer([*named.values(), *marks], **named)
    pictures = Qwen2VLImageProcessorPil(min_pixels=PATCH * PATCH, max_pixels=64 * PATCH * PATCH)
    processor = ColQwen2Processor(image_processor=pictures, tokenizer=fast)
    ids: dict[str, Any] = {mark: fast.convert_tokens_to_ids(mark) for mark in marks}
    sight = Qwen2VLConfig(
        text_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": len(fast) + 8, "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2,
                       "patch_size": 14},
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(0)
    ColQwen2ForRetrieval(ColQwen2Config(vlm_config=sight, embedding_dim=8)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
