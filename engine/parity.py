"""The parity certificate: how far every device, dtype and attention implementation is from float32 eager on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.encoder import Encoder
from engine.errors import WorkbenchError
from engine.maxsim import maxsim
from engine.models import load_model

DOCUMENTS = [
    "Sorted copies of an array keep the order of equal values.",
    "A file is opened, read to its end and closed.",
    "Dates before 1970 have negative time stamps; leap seconds are not counted.",
    "Strings join with a separator. " * 12,
    "Ω ≈ 3.14, naïve café, 東京 and e\u0301.",
    "return",
]
QUERIES = ["how do I sort an array", "read a whole file", "what is a time stamp before 1970?", "join"]


@dataclass(frozen=True)
class ParityRecord:
    """How far one way to compute is from the reference.

    Args:
        device: "cpu", "cuda" or "mps".
        dtype: "float32", "bfloat16", "float16" or "int8".
        attention: "eager", "sdpa" or "flash_attention_2".
        max_difference: Largest absolute difference of a component.
        min_cosine: Least cosine of a vector with the reference's.
        maxsim_difference: Largest absolute difference of a score.
        same_order: Whether every query ranks the fixed documents in the same order.
        expansion_min_cosine: Least cosine of query expansion tokens, None where the model adds none.
        error: Why it could not be compared: another number of tokens, or a failure to load or run.
    """

    device: str
    dtype: str
    attention: str
    max_difference: float | None = None
    min_cosine: float | None = None
    maxsim_difference: float | None = None
    same_order: bool | None = None
    expansion_min_cosine: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def certify(model_name: str) -> list[ParityRecord]:
    """Encode a fixed set in every way that this machine offers and compare with float32 eager.

    Args:
        model_name: A name for `Encoder.load`.

    Returns:
        One record a way; the first is the reference against itself. A way that fails has its reason in `error`.

    Raises:
        NotFoundError: no such model.
    """
    reference = _encoder(model_name, "cpu", "float32", "eager")
    expected = _encoded(reference)
    expansion = [
        np.array([token.kind == "expansion" for token in reference.tokens(text, "query")], bool) for text in QUERIES
    ]
    records = []
    for device, dtype, attention in _ways():
        try:
            found = _encoded(_encoder(model_name, device, dtype, attention))
            records.append(_compare(device, dtype, attention, expected, found, np.concatenate(expansion)))
        except (WorkbenchError, RuntimeError, ValueError, ImportError, NotImplementedError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            records.append(ParityRecord(device, dtype, attention, error=reason))
    return records


def _ways() -> Iterator[tuple[str, str, str]]:
    import torch

    from engine.simd.linear import available

    flash = ["flash_attention_2"] if find_spec("flash_attn") else []
    for attention in ("eager", "sdpa"):
        for dtype in ("float32", "bfloat16"):
            yield "cpu", dtype, attention
        if available():
            yield "cpu", "int8", attention
    if torch.cuda.is_available():
        for attention in ["eager", "sdpa", *flash]:
            for dtype in ("float32", "bfloat16", "float16"):
                if attention != "flash_attention_2" or dtype != "float32":
                    yield "cuda", dtype, attention
    if torch.backends.mps.is_available():
        for attention in ("eager", "sdpa"):
            for dtype in ("float32", "float16"):
                yield "mps", dtype, attention


def _encoder(name: str, device: str, dtype: str, attention: str) -> Encoder:
    model, note = load_model(name, device, {"attn_implementation": attention})
    return Encoder(model, name, note).compute_in(dtype)


def _encoded(encoder: Encoder) -> tuple[TokenEmbeddings, TokenEmbeddings]:
    documents, queries = encoder.encode_document(DOCUMENTS), encoder.encode_query(QUERIES)
    return documents.astype("float32"), queries.astype("float32")


def _compare(
    device: str,
    dtype: str,
    attention: str,
    expected: tuple[TokenEmbeddings, TokenEmbeddings],
    found: tuple[TokenEmbeddings, TokenEmbeddings],
    expansion: np.ndarray,
) -> ParityRecord:
    for kind, theirs, ours in zip(("documents", "queries"), expected, found, strict=True):
        if not np.array_equal(theirs.offsets, ours.offsets):
            counts = f"{theirs.lengths.tolist()} for {kind}, got {ours.lengths.tolist()}"
            return ParityRecord(device, dtype, attention, error=f"expected token counts {counts}")
    reference, values = (np.concatenate([side.values for side in pair]) for pair in (expected, found))
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(values, axis=1)
    cosine = np.einsum("td,td->t", reference, values) / np.maximum(norms, 1e-12)
    scores, ours = maxsim(expected[1], expected[0]), maxsim(found[1], found[0])
    added = cosine[expected[0].n_tokens :][expansion]
    return ParityRecord(
        device,
        dtype,
        attention,
        max_difference=float(np.abs(reference - values).max()),
        min_cosine=float(cosine.min()),
        maxsim_difference=float(np.abs(scores - ours).max()),
        same_order=bool(np.array_equal(np.argsort(-scores, axis=1), np.argsort(-ours, axis=1))),
        expansion_min_cosine=float(added.min()) if len(added) else None,
    )
