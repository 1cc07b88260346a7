"""What the lanes do for requests that no command of the workbench answers: vectors as JSON, and texts put in order."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.workspaces import label
from engine import Encoder, TokenEmbeddings
from engine import rerank as rerank_by
from engine.errors import InputError, UnsupportedError
from engine.maxsim import scorers
from engine.maxsim.scorers import Scorer
from workbench.client import schema
from workbench.experiments.experiment import INDEX
from workbench.experiments.measure import scorer_of
from workbench.workspace import Workspace


def encoded(encoder: Encoder, asked: schema.EncodeRequest) -> schema.EncodeAnswer:
    """Texts as token vectors.

    Raises:
        InputError: a text of which nothing can be encoded; the sentence gives its position.
    """
    encode = encoder.encode_query if asked.task == "query" else encoder.encode_document
    found = encode(asked.texts)
    values: dict[str, Any] = {}
    if asked.encoding == "base64":
        little = np.ascontiguousarray(found.values, found.values.dtype.newbyteorder("<"))
        values["base64"] = base64.b64encode(little.tobytes()).decode()
    else:
        values["vectors"] = [found[number].tolist() for number in range(len(found))]
    return schema.EncodeAnswer(
        model=label(encoder.name), fingerprint=encoder.fingerprint, task=asked.task, dim=found.dim,
        dtype="float32" if found.values.dtype == np.float32 else "float16", lengths=found.lengths.tolist(),
        truncated=found.truncated, unread=found.unread[0], tokens=found.unread[1], added=found.added, **values,
    )  # fmt: skip


def scorer(workspace: Workspace, name: str) -> Scorer | str:
    """What puts texts in order, by its name.

    Raises:
        InputError: an unknown name, or one whose weights the model does not have.
    """
    if name == INDEX:
        raise InputError(f"Expected a scorer of texts, got {name!r}: choose one of {', '.join(scorers.names())}.")
    return scorer_of(workspace.prepared.experiment(scorer=name))


def documents(workspace: Workspace, texts: Sequence[str]) -> TokenEmbeddings:
    """Vectors of any texts, kept as those of the collection.

    Raises:
        InputError: a text that is empty; the sentence gives its position.
    """
    return workspace.encoder.encode_document(list(texts)).astype(workspace.prepared.vectors)


def reranked(
    workspace: Workspace, asked: schema.RerankRequest, vectors: TokenEmbeddings | None, by: Scorer | str, start: float
) -> schema.RerankAnswer:  # fmt: skip
    """Put texts or documents in order.

    Args:
        workspace: Whose model encoded the question, and whose documents are named.
        asked: The request.
        vectors: Of its texts; None where it names documents.
        by: What scores.
        start: When the request came, by the clock that only goes forward.

    Returns:
        The order; equal scores by place.

    Raises:
        NotFoundError: no such document.
        InputError: a document twice.
        UnsupportedError: a learned scorer asked of vectors that an index has rounded, or a kind without vectors.
    """
    ids = asked.ids
    if vectors is None:
        assert ids is not None
        if len(set(ids)) < len(ids):
            raise InputError("Expected different ids, got one twice: leave it out.")
        if not workspace.prepared.encoded and asked.scorer != scorers.DEFAULT:
            raise UnsupportedError(
                f"{workspace.collection.name!r} has only the vectors that its index stores: rerank by maxsim."
            )
        vectors = workspace.vectors_of(ids)
    places = [f"{number:06d}" for number in range(len(vectors))]  # their order is that of the places: ties go by it
    query = workspace.query(asked.question)
    found = rerank_by(query, [places], places, vectors, asked.k or len(places), by)[0]
    results = [
        schema.Reranked(rank=rank, index=int(place), id=None if ids is None else ids[int(place)], score=float(score))
        for rank, (place, score) in enumerate(zip(found.ids, found.scores, strict=True), start=1)
    ]
    return schema.RerankAnswer(
        question=asked.question, scorer=asked.scorer, results=results, seconds=time.perf_counter() - start
    )
