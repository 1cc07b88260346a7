"""From a question of two runs to its reasons: a document's matrix, and its way through the index or system of a run."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine import Alignment, Collection, Encoder, TokenEmbeddings, load_collection
from engine.errors import InputError, WorkbenchError
from engine.explain import align
from engine.indexes import Index
from engine.indexes.trace import Trace
from workbench.cache import cached_index
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import prepare
from workbench.runs.record import Run
from workbench.systems import System, SystemTrace, build, trace


@dataclass(frozen=True, eq=False)
class Opened:
    """What a run worked on, opened again.

    Args:
        collection: Its texts.
        encoder: Its model.
        full: Vectors of the documents before pooling.
        search: Its index, or its whole system.
    """

    collection: Collection
    encoder: Encoder
    full: TokenEmbeddings
    search: Index | System


@st.cache_resource(show_spinner="Loading the model", max_entries=2)
def _model(name: str, dtype: str) -> Encoder:
    return Encoder.load(name, dtype=dtype)


@st.cache_resource(show_spinner="Reading the texts", max_entries=4)
def _texts(name: str) -> Collection:
    return load_collection(name)


@st.cache_resource(show_spinner="Opening the index", max_entries=4)
def _open(run_id: str, _experiment: Experiment, fingerprint: str, model: str, dtype: str) -> Opened:
    """Cached by the run; its index is the one that the run kept, or is built again from the same vectors."""
    collection, encoder = _texts(_experiment.collection), _model(_experiment.model, dtype)
    if collection.fingerprint != fingerprint:
        raise InputError(f"The texts of {collection.name!r} changed since run {run_id}: run it again.")
    prepared = prepare(collection, encoder, vectors=_experiment.vectors).at_dim(_experiment.dim)
    if prepared.model["fingerprint"] != model:
        raise InputError(f"The model of run {run_id} changed since: run it again.")
    if _experiment.system:
        held = None if _experiment.pooling.keeps_all else lambda: prepared.pooled(_experiment.pooling)[0]
        return Opened(collection, encoder, prepared.documents, build(_experiment.system, prepared, held))
    pooled, _, _ = prepared.pooled(_experiment.pooling)
    settings = _experiment.index_settings
    index = cached_index(_experiment.index, list(collection.documents), pooled, **settings)[0]
    return Opened(collection, encoder, prepared.documents, index)


def opened(run: Run) -> Opened:
    """What a run worked on.

    Args:
        run: A finished run.

    Returns:
        Its texts, model and index.

    Raises:
        WorkbenchError: one of them is not there any more, or changed.
    """
    record = run.record
    model = record["model"]
    dtype = model.get("dtype", run.experiment.dtype)
    return _open(run.id, run.experiment, record["collection"]["fingerprint"], model["fingerprint"], dtype)


def reasons(run: Run, question: str, document: str) -> tuple[Alignment, Trace | SystemTrace]:
    """Why a document scores as it does, and what became of it in a run's index or in its system's stages.

    Args:
        run: A finished run.
        question: The text of the query.
        document: Its id.

    Returns:
        The alignment on the vectors before pooling, and the trace through the run's own index or system.

    Raises:
        WorkbenchError: see `opened`; or no such document.
    """
    found = opened(run)
    ids = list(found.collection.documents)
    if document not in found.collection.documents:
        raise InputError(f"{found.collection.name!r} has no document {document!r}: choose another.")
    query = found.encoder.encode_query([question]).astype(run.experiment.vectors).prefix(found.full.dim)
    tokens = (
        found.encoder.tokens(question, "query"),
        found.encoder.tokens(found.collection.documents[document], "document"),
    )
    alignment = align(query[0], found.full[ids.index(document)], *tokens)
    k = min(run.experiment.k, 10)
    if isinstance(found.search, System):
        return alignment, trace(found.search, question, document, k)
    originals = found.full if found.search.ids == ids else None
    return alignment, found.search.trace(query, document, k, originals)


def collection_of(run: Run) -> Collection | None:
    """The texts of a run's collection, or None where they cannot be read any more."""
    try:
        return _texts(run.experiment.collection)
    except WorkbenchError:
        return None
