"""Fixtures of all tests: a fake encoder first, the embedded model second, and nothing from a network."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: torch's threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from engine import Collection, Encoder, TokenEmbeddings
from engine.tokens import Token

T = TypeVar("T")
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_finish() -> None:
    """Everything is imported by now and stays: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


class FakeEncoder:
    """Encodes words as random unit vectors that depend on the word alone: same word, same vector."""

    name = "fake"
    note = "hashed words"
    dim = 16
    device = "cpu"
    dtype = "float32"
    fingerprint = "fake-fingerprint"
    added = 0
    nested = ()

    def describe(self) -> dict[str, object]:
        return {"model": self.name, "dim": self.dim, "fingerprint": self.fingerprint}

    def _vector(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(word.lower().encode(), digest_size=4).digest(), "little")
        vector = np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def tokens(self, text: str, task: str) -> list[Token]:
        return [Token(m.group(), m.start(), m.end(), "text") for m in re.finditer(r"\w+|[^\w\s]", text)]

    def _encode(
        self, texts: Sequence[str], task: str, progress: Callable[[int, int], None] | None = None
    ) -> TokenEmbeddings:
        arrays = [np.stack([self._vector(token.text) for token in self.tokens(text, task)]) for text in texts]
        if progress is not None:
            progress(len(texts), len(texts))
        return TokenEmbeddings.from_list(arrays, self.fingerprint, dim=self.dim)

    def encode_query(self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None) -> TokenEmbeddings:
        return self._encode(texts, "query", progress)

    def encode_document(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> TokenEmbeddings:
        return self._encode(texts, "document", progress)


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test keeps lands among the person's own runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def fake_encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def embedded_encoder() -> Encoder:
    return Encoder.load("embedded", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def tiny_collection() -> Collection:
    documents = {
        "argmax": "Return the index of the largest value along an axis",
        "sort": "Return a sorted copy of the values of an array",
        "join": "Join strings with a separator between them",
        "open": "Open a file and return a stream to read its text",
        "sleep": "Suspend execution of the thread for some seconds",
        "mean": "Compute the arithmetic average of the values",
        "glob": "Find the files whose path matches a pattern",
        "json": "Parse text in JSON and return the object",
    }
    queries = {"q1": "index of the largest value", "q2": "read the text of a file", "q3": "average of values"}
    qrels = {"q1": {"argmax": 2, "sort": 1}, "q2": {"open": 2, "glob": 1}, "q3": {"mean": 2}}
    return Collection(documents, queries, qrels, "tiny")


@pytest.fixture
def shared_collections() -> Path:
    folder = SHARED / "collections"
    if not folder.exists():
        pytest.skip("needs the test collections in ../shared/collections, which are not part of the repository")
    return folder


@pytest.fixture
def golden() -> Path:
    folder = SHARED / "golden"
    if not folder.exists():
        pytest.skip("needs the reference values in ../shared/golden, which are not part of the repository")
    return folder


def ragged(
    rng: np.random.Generator, lengths: Sequence[int], dim: int, dtype: type = np.float32, unit: bool = True
) -> TokenEmbeddings:
    """Random embeddings with the given token counts."""
    values = rng.standard_normal((int(sum(lengths)), dim)).astype(np.float32)
    if unit and len(values):
        values /= np.linalg.norm(values, axis=1, keepdims=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenEmbeddings(values.astype(dtype), offsets)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, in a thread of its own: a browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def use_toy_package(patch: pytest.MonkeyPatch) -> None:
    """Put a distribution that registers the index kind "toy" on the path of this process and of those it starts."""
    folder = str(Path(__file__).resolve().parent / "toy_package")
    patch.syspath_prepend(folder)
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")])))


@pytest.fixture
def toy_package(monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_package(monkeypatch)
