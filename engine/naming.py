"""The tokens behind the vectors of one text, whatever a model's modules make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.encoding import Task
from engine.merging import Reader, added_tokens, vector_groups
from engine.tokens import Token, merged, tokens_of
from engine.windows import read_windows

if TYPE_CHECKING:
    from engine.encoder import Encoder


def named_tokens(encoder: Encoder, text: str, task: Task) -> list[Token]:
    """See `Encoder.tokens`.

    Args:
        encoder: The model.
        text: The text.
        task: "query" or "document".

    Returns:
        One token a vector.

    Raises:
        UnsupportedError: the model merges vectors in a way that does not tell which.
    """
    import torch

    features = encoder.preprocess([text], task)
    given = features["attention_mask"][0].bool().clone()
    ids, expanded = features["input_ids"][0].cpu(), features.get("query_expansion_positions")
    expansion = (given & False) if expanded is None else expanded[0].bool().cpu()
    attended = given | expansion
    with torch.inference_mode(False), torch.no_grad():
        groups = vector_groups(encoder.model, features, task, reader(encoder, task))
    with encoder.tokenizing:
        named = tokens_of(
            encoder.model.tokenizer, ids[attended].tolist(), expansion[attended].tolist(), text, encoder.prompt(task)
        )
    places = attended.nonzero()[:, 0].tolist()
    token_at = dict(zip(places, named, strict=True))
    found = [merged([token_at[place] for place in group]) for group in groups if group]
    return found + [Token(name, -1, -1, "whole") for name in added_tokens(encoder.model)]


def reader(encoder: Encoder, task: Task) -> Reader | None:
    """What stands for the first module where a document is read in windows; None where the module itself reads."""
    windows = encoder.windows
    if windows is None or task == "query":
        return None
    return lambda features: read_windows(encoder, windows, features)[0]
