"""The page Lessons: short texts whose figures are computed by the functions of the other pages."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from apps.components import component
from apps.lessons import lessons
from apps.pages import Functions, answering, bar
from apps.pages.pool import PoolPage
from apps.pages.search import LONGEST_TEXT, question_of
from apps.pages.xray import XrayPage
from apps.records import explanation
from apps.text import asked
from apps.workspaces import Workspaces
from apps.xray_records import lost_record
from engine import Encoder
from engine.errors import InputError, NotFoundError
from engine.explain import explain
from workbench.probe import own_pairs, probe
from workbench.probe.probe import as_json
from workbench.systems.lost_in_index import lost_documents

MOST_TEXTS = 6
FACTORS = ("1", "1.5", "2", "3", "4", "6", "8")
CELLS, LOST = "plaid", "plaid:bits=1"  # the index of the lesson on cells, and one that loses enough to look at
K, ASKED, EXAMPLES = 10, 40, 6  # results; judged questions that lost documents are looked for in; traces to choose from


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: Whose collection and model the figures are of.
    """
    bar()
    learn = LearnPage(workspaces)
    functions = [
        learn.start,
        learn.compare,
        learn.merge,
        learn.trace,
        learn.names,
        learn.lost,
        learn.probe,
        learn.notebook,
    ]
    component("learn", None, functions)


class LearnPage(Functions):
    """Answers what the figures of the lessons ask."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self._pool, self._xray = PoolPage(workspaces), XrayPage(workspaces)
        self._probes: WeakKeyDictionary[Encoder, dict[str, Any]] = WeakKeyDictionary()
        self._probing = threading.Lock()

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; "lessons"; "document" for the lesson on pooling and its "factors"; "examples" of the
            lesson on cells, each with "question" and "document"; "cells", the kind of index there.
        """
        collection = self.workspaces.of(request).collection
        return {
            **self.workspaces.about(request), "lessons": list(lessons()), "factors": list(FACTORS), "cells": CELLS,
            "lossy": LOST, "document": self._pool.start(request).get("document", ""),
            "examples": [
                {"question": collection.queries[query], "document": max(grades, key=lambda name, of=grades: of[name])}
                for query, grades in list(collection.qrels.items())[:EXAMPLES] if grades and query in collection.queries
            ],
        }  # fmt: skip

    @answering
    def compare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Score texts for a question with all vectors, and with one for each text.

        Args:
            request: "question" and "texts", at most 6.

        Returns:
            "rows", each with the "text", "many" (MaxSim), "single" (the cosine of the means of the vectors, each at
            length 1) and "pair", the explanation of MaxSim.
        """
        encoder, question = self.workspaces.of(request).encoder, question_of(request)
        texts = request.get("texts")
        if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
            raise InputError(f"Expected from 1 to {MOST_TEXTS} texts, got {str(texts)[:60]!r}: send a list of them.")
        checked = [_checked(text) for text in texts]
        query, rows = _mean(encoder.encode_query([question])[0]), []
        for text in checked:
            alignment = explain(encoder, question, text)
            other = _mean(encoder.encode_document([text])[0])
            single = float(query @ other / (np.linalg.norm(query) * np.linalg.norm(other)))
            pair = {**explanation(question, "", "", text, alignment), "place": None}
            rows.append({"text": text, "many": round(float(alignment.score), 6), "single": single, "pair": pair})
        return {"rows": rows}

    def merge(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `PoolPage.merge`."""
        return self._pool.merge(request)

    def names(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `PoolPage.names`."""
        return self._pool.names(request)

    def trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `XrayPage.trace`."""
        return self._xray.trace(request)

    @answering
    def lost(self, request: dict[str, Any]) -> dict[str, Any]:
        """Judged documents that a small index does not return, of the first judged questions.

        Args:
            request: "on".

        Returns:
            See `lost_record`.
        """
        workspace = self.workspaces.of(request)
        if not workspace.collection.judged_queries:
            raise InputError(f"{workspace.collection.name!r} has no judgements, so nothing can be lost.")
        index, part = self._xray.index({**request, "kind": LOST}), workspace.prepared.first(ASKED)
        found = lost_documents(index, part.collection, part.documents, part.queries, K)
        return lost_record(found, workspace.collection)

    @answering
    def probe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run the minimal pairs on the model that is open.

        Args:
            request: "on".

        Returns:
            "phenomena" and "pairs", see `workbench.probe`.
        """
        encoder = self.workspaces.of(request).encoder
        with self._probing:
            if encoder not in self._probes:
                self._probes[encoder] = as_json(probe(encoder, own_pairs()))
            return self._probes[encoder]

    @answering
    def notebook(self, request: dict[str, Any]) -> dict[str, Any]:
        """A notebook as a file.

        Args:
            request: "name", of a lesson.

        Returns:
            "name" and "content".
        """
        from importlib.resources import files

        name = asked(request, "name")
        if name not in {lesson["notebook"] for lesson in lessons()}:
            raise NotFoundError(f"No lesson has the notebook {name[:60]!r}: choose one of them.")
        return {"name": name, "content": (files("notebooks") / name).read_text(encoding="utf-8")}


def _checked(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputError("The text is empty: type a few words to score.")
    if len(text) > LONGEST_TEXT:
        raise InputError(f"Expected a text of at most {LONGEST_TEXT:,} characters, got {len(text):,}: shorten it.")
    return text.encode("utf-8", "replace").decode()


def _mean(vectors: np.ndarray) -> np.ndarray:
    """The mean of vectors, each at length 1."""
    values = np.asarray(vectors, np.float64)
    return (values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)).mean(axis=0)
