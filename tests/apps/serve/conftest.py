"""One server of the tests: the fake encoder, a tiny collection with fields, and an index on disk that grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.names import Names
from apps.serve import guarded
from apps.serve.app import Functions
from apps.serve.batching import wrapped
from apps.serve.catalogue import Catalogue, Open
from apps.serve.keys import Keys
from apps.serve.lanes import Lanes
from apps.serve.metrics import Metrics
from engine import Collection
from engine.fields import Fields
from tests.conftest import FakeEncoder
from workbench.workspace import open_workspace

ADDRESS = "http://127.0.0.1"
YEARS = {
    "argmax": 2019,
    "sort": 2020,
    "join": 2021,
    "open": 2022,
    "sleep": 2023,
    "mean": 2024,
    "glob": 2025,
    "json": 2026,
}


@pytest.fixture(scope="module")
def dated(tiny_collection: Collection) -> Collection:
    return replace(
        tiny_collection, fields=Fields(("year",), lambda: {name: {"year": year} for name, year in YEARS.items()})
    )


@pytest.fixture(scope="module")
def functions(dated: Collection, tmp_path_factory: pytest.TempPathFactory) -> Functions:
    metrics = Metrics()
    encoder = wrapped(FakeEncoder(), metrics, False)  # type: ignore[arg-type]
    catalogue = Catalogue(lambda name: encoder, "fake")
    catalogue.add(Open("tiny", open_workspace(dated, encoder, "exact")))
    catalogue.keep_in(tmp_path_factory.mktemp("store"))
    return Functions(catalogue, Lanes(metrics, False), metrics, "own")


@pytest.fixture(scope="module")
def client(functions: Functions) -> Iterator[TestClient]:
    with TestClient(guarded(functions, Keys({}), Names()), ADDRESS, raise_server_exceptions=False) as asked:
        yield asked


def documents(*texts: str, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"d{n}", "text": text, "fields": {"n": n}} for n, text in enumerate(texts, start=start)]


def folder_of(functions: Functions, name: str) -> Path:
    folder = functions.catalogue.get(name).folder
    assert folder is not None
    return folder
