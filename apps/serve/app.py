"""The functions of the server, each thin: a checked request, a piece of work in its lane, a typed answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

from fastapi import FastAPI, Response

from apps.serve import docs, tools, work
from apps.serve.catalogue import Catalogue, Open, checked_system
from apps.serve.lanes import Lanes
from apps.serve.metrics import CONTENT_TYPE, Metrics
from apps.serve.requests import answers
from apps.workspaces import label
from engine.errors import InputError
from workbench.answers import explained_values, follow, found_values, traced_values
from workbench.client import schema
from workbench.systems import trace as trace_system
from workbench.workspace import Workspace

TITLE = "Late Interaction Workbench"
ABOUT = """
Encode, search, rerank, explain and trace with late interaction, and keep collections. Every function answers what the
command of its name prints with `--json`. What cannot be answered gets one sentence under `detail`.
"""
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.Refusal, "description": why}
    for status, why in (
        (401, "No key, or a wrong one"), (404, "No such collection or document"), (422, "Something is wrong with it"),
        (503, "Too many requests wait; Retry-After says how long"),
    )
}  # fmt: skip
Batches = Literal["own", "shared"]


class Functions:
    """What the routes call.

    Args:
        catalogue: What is open.
        lanes: Where work is done.
        metrics: What counts.
        batches: Whether requests share batches.
    """

    def __init__(self, catalogue: Catalogue, lanes: Lanes, metrics: Metrics, batches: Batches) -> None:
        self.catalogue, self.lanes, self.metrics = catalogue, lanes, metrics
        self.batches: Batches = batches
        self.began = time.monotonic()

    async def health(self) -> schema.HealthAnswer:
        """Say that the server answers, and what with."""
        models = dict.fromkeys(label(found.workspace.encoder.name) for found in self.catalogue)
        sizes = self.catalogue.sizes()
        return schema.HealthAnswer(
            collections=len(sizes), documents=sum(sizes.values()), models=list(models), batches=self.batches,
            seconds=round(time.monotonic() - self.began, 1),
        )  # fmt: skip

    async def counted(self) -> Response:
        """Counters and times in Prometheus' form."""
        return Response(self.metrics.written(self.catalogue.sizes()), media_type=CONTENT_TYPE)

    async def encode(self, asked: schema.EncodeRequest) -> schema.EncodeAnswer:
        """Encode texts to token vectors."""
        encoder = self.catalogue.get(asked.collection).workspace.encoder
        return await self.lanes.encoding.run(partial(work.encoded, encoder, asked))

    async def search(self, asked: schema.SearchRequest) -> schema.SearchAnswer:
        """Find documents for a question, of all, of those that fit a condition, or of some ids."""
        workspace = await self._workspace(asked.collection, asked.system, asked.scorer)
        await self._query(workspace, asked.question)
        if asked.where.strip():
            await self.lanes.choosing.run(partial(workspace.among, asked.where))

        def found() -> schema.SearchAnswer:
            result = workspace.search(asked.question, asked.k, asked.ids, asked.where)
            return schema.SearchAnswer(**found_values(workspace, result, asked.contributions))

        return await self.lanes.computing.run(found)

    async def rerank(self, asked: schema.RerankRequest) -> schema.RerankAnswer:
        """Put texts, or documents of a collection, in order by late interaction."""
        workspace = self.catalogue.get(asked.collection).workspace
        scorer = work.scorer(workspace, asked.scorer)
        start = time.perf_counter()
        await self._query(workspace, asked.question)
        documents = None
        if asked.texts is not None:
            documents = await self.lanes.encoding.run(partial(work.documents, workspace, asked.texts))
        return await self.lanes.computing.run(
            partial(work.reranked, workspace, asked, documents, scorer, start)
        )  # fmt: skip

    async def explain(self, asked: schema.ExplainRequest) -> schema.ExplainAnswer:
        """Show which token of a document each token of a question met, and what that adds to the score."""
        workspace = await self._workspace(asked.collection, asked.system, asked.scorer)
        await self._query(workspace, asked.question)
        explained = partial(explained_values, workspace, asked.question, asked.document, asked.text)
        return schema.ExplainAnswer(**await self.lanes.computing.run(explained))

    async def trace(self, asked: schema.TraceRequest) -> schema.SystemTrace | schema.IndexTrace:
        """Follow a document through a search, to the stage that lost it."""
        workspace = await self._workspace(asked.collection, asked.system, "")
        await self._query(workspace, asked.question)

        def traced() -> schema.SystemTrace | schema.IndexTrace:
            if workspace.system is not None:
                through = trace_system(workspace.system, asked.question, asked.document, asked.k)
                return schema.SystemTrace(system=workspace.system.text, **asdict(through))
            originals = workspace.documents if workspace.prepared.encoded else None
            found = follow(workspace, asked.question, asked.document, asked.k, originals)
            return schema.IndexTrace(**traced_values(asked.question, found))

        return await self.lanes.computing.run(traced)

    async def collections(self) -> list[schema.CollectionAnswer]:
        """List what is open; the first is meant where a request names none."""
        return await self.lanes.choosing.run(lambda: [_described(found) for found in self.catalogue])

    async def collection(self, name: str) -> schema.CollectionAnswer:
        """Describe one collection, with the fields that conditions can ask for."""
        return await self.lanes.choosing.run(lambda: _described(self.catalogue.get(name)))

    async def create(self, asked: schema.CreateRequest) -> schema.CollectionAnswer:
        """Make a collection with its first documents; it is on the disk when this answers."""
        made = partial(self.catalogue.create, asked.name, asked.documents, asked.index)
        return await self.lanes.changing.run(lambda: _described(made()))

    async def delete(self, name: str) -> Response:
        """Remove a collection that a request made."""
        await self.lanes.changing.run(partial(self.catalogue.delete, name))
        return Response(status_code=204)

    async def add(self, name: str, asked: schema.AddRequest) -> schema.CollectionAnswer:
        """Add documents; all are on the disk and found when this answers, or none is."""
        return await self.lanes.changing.run(lambda: _described(self.catalogue.grow(name, asked.documents)))

    async def remove(self, name: str, asked: schema.RemoveRequest) -> schema.CollectionAnswer:
        """Remove documents and their texts; all are gone when this answers, or none is."""
        return await self.lanes.changing.run(lambda: _described(self.catalogue.shrink(name, asked.ids)))

    async def _workspace(self, name: str, system: str, scorer: str) -> Workspace:
        """What a request works on, from its start to its end."""
        found, text = self.catalogue.get(name), checked_system(system, scorer)
        if not text:
            return await self.lanes.choosing.run(partial(found.ranked, scorer)) if scorer else found.workspace
        built = found.system(text)
        return built if built is not None else await self.lanes.changing.run(partial(found.build, text))

    async def _query(self, workspace: Workspace, question: str) -> None:
        """Encode a question where many can be encoded at once; whatever follows finds it encoded."""
        if not question.strip():
            raise InputError("Expected a question, got an empty one: send a few words.")
        await self.lanes.encoding.run(partial(workspace.query, question))


def _described(found: Open) -> schema.CollectionAnswer:
    return schema.CollectionAnswer(**found.describe())


def build(functions: Functions, mcp: bool = False) -> FastAPI:
    """Make the application, without what stands between it and the network.

    Args:
        functions: What its routes call.
        mcp: Also answer the Model Context Protocol.

    Returns:
        The application, with its description at /openapi.json and a page of it at /docs.
    """
    protocol = tools.server(functions) if mcp else None
    routes = [] if protocol is None else tools.routes(protocol)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with nullcontext() if protocol is None else protocol.session_manager.run():
            yield
        functions.lanes.close()

    app = FastAPI(
        title=TITLE, description=ABOUT, version=docs.version(), docs_url=None, redoc_url=None, lifespan=lifespan,
        exception_handlers=answers(), responses=REFUSALS, routes=routes,
    )  # fmt: skip
    about: dict[str, Any] = {"tags": ["server"]}
    app.get("/health", response_model=schema.HealthAnswer, **about)(functions.health)
    app.get("/metrics", response_class=Response, **about)(functions.counted)
    about = {"tags": ["answers"]}
    app.post("/encode", response_model=schema.EncodeAnswer, **about)(functions.encode)
    app.post("/search", response_model=schema.SearchAnswer, **about)(functions.search)
    app.post("/rerank", response_model=schema.RerankAnswer, **about)(functions.rerank)
    app.post("/explain", response_model=schema.ExplainAnswer, **about)(functions.explain)
    app.post("/trace", response_model=schema.SystemTrace | schema.IndexTrace, **about)(functions.trace)
    about = {"tags": ["collections"]}
    described: Any = schema.CollectionAnswer
    app.get("/collections", response_model=list[schema.CollectionAnswer], **about)(functions.collections)
    app.post("/collections", response_model=described, status_code=201, **about)(functions.create)
    app.post("/collections/{name:path}/add", response_model=described, **about)(functions.add)
    app.post("/collections/{name:path}/remove", response_model=described, **about)(functions.remove)
    app.get("/collections/{name:path}", response_model=described, **about)(functions.collection)
    app.delete("/collections/{name:path}", status_code=204, response_class=Response, **about)(functions.delete)
    docs.add(app)
    return app
