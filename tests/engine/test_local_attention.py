"""Attention of long texts beside torch's own over all pairs: the same numbers, and no mask of all pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import ModernBertConfig, ModernBertModel

from engine.local_attention import BLOCK, NAME, SHORT, use_local_attention

WINDOW = 32


def small(**changes: Any) -> ModernBertModel:
    torch.manual_seed(3)
    config = ModernBertConfig(
        **{
            "vocab_size": 200, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 2, "max_position_embeddings": 4096, "local_attention": WINDOW,
            "global_attn_every_n_layers": 3, "pad_token_id": 0, "attn_implementation": "sdpa", **changes,
        }
    )  # fmt: skip
    return ModernBertModel(config).eval()


@pytest.fixture(scope="module")
def models() -> tuple[ModernBertModel, ModernBertModel]:
    local = small()
    assert use_local_attention(local) == 1
    assert local.config._attn_implementation == NAME
    return small(), local


def read(model: ModernBertModel, lengths: list[int]) -> torch.Tensor:
    width = max(lengths)
    ids = torch.randint(1, 200, (len(lengths), width), generator=torch.Generator().manual_seed(5))
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]


@pytest.mark.parametrize("lengths", [[SHORT + 1], [1500, 1100], [BLOCK * 2 + 1, 3], [1300, 1300]])
def test_long_texts_have_the_numbers_of_attention_over_all_pairs(models: Any, lengths: list[int]) -> None:
    plain, local = models
    found = read(local, lengths)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, read(plain, lengths), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[SHORT], [700, 20], [5]])
def test_short_texts_have_the_very_bits(models: Any, lengths: list[int]) -> None:
    plain, local = models
    assert torch.equal(read(local, lengths), read(plain, lengths))


def test_no_mask_has_all_pairs(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    whole = torch.nn.functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, *rest: Any, attn_mask: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
        sizes.append(0 if attn_mask is None else attn_mask.numel())
        return whole(query, *rest, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    read(models[1], [3000])
    read(models[1], [3000, 1200])
    assert max(sizes) <= 2 * BLOCK * (BLOCK + WINDOW)
    assert 0 in sizes  # a layer that looks at all tokens


def test_gradients_go_the_same_way(models: Any) -> None:
    found = []
    for model in models:
        ids = torch.arange(SHORT + 200)[None] % 199 + 1
        model.zero_grad()
        model(input_ids=ids).last_hidden_state.square().sum().backward()
        found.append(model.layers[1].attn.Wqkv.weight.grad.clone())
    torch.testing.assert_close(found[0], found[1], atol=1e-2, rtol=1e-2)


def test_other_models_stay_as_they_are(tmp_path: Any) -> None:
    from tests.tiny_models import make_model

    assert use_local_attention(make_model(tmp_path)) == 0
    assert use_local_attention(small(attn_implementation="eager")) == 0
