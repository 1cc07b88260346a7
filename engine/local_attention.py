"""Attention of long texts on a CPU in models with layers that look at near tokens only, such as ModernBERT.

With torch's attention such a layer compares every pair of tokens and then leaves out those that are far apart, through
a mask of n x n: at 32,768 tokens a gigabyte, and four more where it becomes numbers. Here blocks of queries look at the
stretch of keys around them. Layers that look at all tokens need no mask but one of n for padding. Up to `SHORT` tokens
everything is torch's own, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "local-sdpa"  # under which transformers knows it
KINDS = ("modernbert",)  # of models: encoders that say at each layer how far it looks
SHORT = 1024  # tokens
BLOCK = 512  # queries


def use_local_attention(model: nn.Module) -> int:
    """Let the transformers of a model that can compute attention this way do so, in place.

    Args:
        model: Any model on the CPU.

    Returns:
        How many of its transformers do.
    """
    from transformers import PreTrainedModel

    found = [
        module
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
        and module.config.model_type in KINDS
        and module.device.type == "cpu"
        and module.config._attn_implementation == "sdpa"
    ]
    if found:
        _register()
    for module in found:
        module.set_attn_implementation(NAME)
    return len(found)


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)


def _mask(batch_size: int, q_length: int, kv_length: int, **options: Any) -> Tensor | None:
    """For short texts the mask of torch's attention; for long ones bool [batch, tokens], which are no padding."""
    from transformers.masking_utils import sdpa_mask

    if kv_length <= SHORT:
        return sdpa_mask(batch_size, q_length, kv_length, **options)
    padding = options.get("attention_mask")
    return None if padding is None or bool(padding.all()) else padding[:, -kv_length:].bool()


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    sliding_window: int | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """What a layer of transformers calls: query, key and value [batch, heads, tokens, width].

    Args:
        module: The layer.
        query: Of all tokens.
        key: Of all tokens.
        value: Of all tokens.
        attention_mask: From `_mask`.
        sliding_window: One more than how far a token looks to either side; None looks at all.
        scaling: Of the dot products.
        dropout: Of the weights, in training.
        options: Of other implementations.

    Returns:
        [batch, tokens, heads, width], and no weights.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    n = key.shape[2]
    if n <= SHORT:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    real = None if attention_mask is None else attention_mask[:, None, None, :]
    if sliding_window is None:
        out = scaled_dot_product_attention(query, key, value, attn_mask=real, dropout_p=dropout, scale=scaling)
        return out.transpose(1, 2).contiguous(), None
    reach, place = sliding_window - 1, torch.arange(n, device=query.device)
    parts = []
    for start in range(0, n, BLOCK):
        stop, first, last = min(start + BLOCK, n), max(start - reach, 0), min(start + BLOCK + reach, n)
        apart = (place[start:stop, None] - place[None, first:last]).abs()
        near = (apart <= reach)[None, None]
        if real is not None:
            near = near & (real[..., first:last] | (apart == 0))  # padding sees itself, so that no row is empty
        parts.append(
            scaled_dot_product_attention(
                query[:, :, start:stop], key[:, :, first:last], value[:, :, first:last],
                attn_mask=near, dropout_p=dropout, scale=scaling,
            )
        )  # fmt: skip
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None
