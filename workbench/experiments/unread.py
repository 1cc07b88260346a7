"""What a model did not read of long texts, in one sentence: every command that encodes says it, and every page."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from engine import TokenEmbeddings

LOG = logging.getLogger("engine.reading.unread")  # commands print what the readers of texts say, and this beside it
SHARED = 8  # of a window that a remedy names, this part is shared with the one before


def what_was_cut(kind: str, vectors: TokenEmbeddings, model: Mapping[str, Any]) -> str:
    """How many texts were cut and how much of all of them was not read.

    Args:
        kind: "documents" or "queries".
        vectors: Of the texts.
        model: What `Encoder.describe` says.

    Returns:
        A sentence without its full stop; nothing where no text was cut.
    """
    if not vectors.truncated:
        return ""
    length = model.get("query_length" if kind == "queries" else "document_length")
    at = f"at {length:,} tokens" if length else "at the model's maximum length"
    text = f"{vectors.truncated:,} of {len(vectors):,} {kind} were cut {at}"
    return text + (f", {percent(vectors.unread_share)} of all tokens were not read" if vectors.unread[1] else "")


def percent(share: float) -> str:
    """A share as people write it: "34%", and below one in a hundred as much as is to be seen."""
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.1f}%" if share >= 0.001 else "below 0.1%"


def remedy(model: Mapping[str, Any]) -> str:
    """The windows that read all of what a model cuts, such as "256:32"; nothing where it reads in windows already."""
    length = model.get("document_length")
    return f"{length}:{length // SHARED}" if length and not model.get("windows") else ""


def cut_note(kind: str, vectors: TokenEmbeddings, model: Mapping[str, Any]) -> str:
    """What was cut, and which option reads it.

    Args:
        kind: "documents" or "queries".
        vectors: Of the texts.
        model: What `Encoder.describe` says.

    Returns:
        A sentence; nothing where no text was cut.
    """
    found, windows = what_was_cut(kind, vectors, model), remedy(model)
    if not found or kind == "queries":
        return found and f"{found}."
    longer = "a larger --document-length reads more" if model.get("windows") else ""
    return f"{found}: --windows {windows} reads all." if windows else f"{found}{longer and ': ' + longer}."


def tell(kind: str, vectors: TokenEmbeddings, model: Mapping[str, Any]) -> None:
    """Say to whoever listens, such as a command, what was cut; nothing where no text was."""
    sentence = cut_note(kind, vectors, model)
    if sentence:
        LOG.info("%s", sentence)
