"""A cross-encoder reads question and document together: the most careful rerank and the slowest; scores are kept."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine.errors import InputError
from engine.fingerprint import model_fingerprint
from engine.models import loading, resolve_device
from workbench.cache import content_key
from workbench.paths import data_folder
from workbench.systems.material import Material, Question
from workbench.systems.stages import Options, Reranker

BATCH = 32  # pairs that the model reads together
WAIT_S = 60  # for another process that writes to the same file of scores


@dataclass(frozen=True)
class CrossEncoderOptions(Options):
    """Options of a cross-encoder.

    Args:
        model: A folder or hub name that sentence-transformers' CrossEncoder can load.
        k: Documents that it reads; those behind keep their order.
    """

    k: int = 50
    model: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise InputError("Expected a model for 'cross-encoder', got none: write cross-encoder:NAME, where NAME is "
                             "a folder or a name on the hub.")  # fmt: skip


class CrossEncoderStage(Reranker):
    """Orders documents by the score that a cross-encoder gives the pair of question and document.

    Args:
        options: See `CrossEncoderOptions`.
        material: The collection.
        remembers: Whether scores of earlier questions are read; those that are computed are kept in any case.
    """

    name = "cross-encoder"
    options_class = CrossEncoderOptions
    positional: ClassVar[tuple[str, ...]] = ("model",)
    timed: ClassVar[int] = 8

    def __init__(self, options: CrossEncoderOptions, material: Material, remembers: bool = True) -> None:
        self.options, self._material, self._remembers = options, material, remembers
        self._model, self.fingerprint = _loaded(options.model, _device(material))
        self._scores = Scores(data_folder("cache", "cross-encoder") / f"{content_key(self.fingerprint)}.sqlite")

    @classmethod
    def check(cls, options: CrossEncoderOptions, material: Material) -> None:
        """Raise unless the model is there: it is loaded, and kept for the building."""
        _loaded(options.model, _device(material))

    @classmethod
    def identity(cls, options: CrossEncoderOptions, material: Material) -> dict[str, Any]:
        """Options, and the model."""
        model, fingerprint = _loaded(options.model, _device(material))
        return asdict(options) | {"fingerprint": fingerprint, "max_length": model.max_length}

    @property
    def holdings(self) -> dict[str, int]:
        """The weights of the model."""
        size = sum(value.numel() * value.element_size() for value in self._model.parameters())
        return {f"cross-encoder {self.fingerprint}": size}

    def describe(self) -> dict[str, Any]:
        """Options, and the model."""
        return self.identity(self.options, self._material)

    def score(self, question: Question, positions: np.ndarray) -> np.ndarray:
        """The model's scores: one logit a pair, as the model gives it."""
        texts = [self._material.texts[i] for i in positions]
        known = self._scores.read(question.text, texts) if self._remembers else {}
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        if missing:
            pairs: Any = [(question.text, text) for text in missing]
            found = np.asarray(self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False), np.float64)
            fresh = dict(zip(missing, found.tolist(), strict=True))
            self._scores.write(question.text, fresh)
            known = known | fresh
        return np.array([known[text] for text in texts], np.float32)

    def uncached(self) -> CrossEncoderStage:
        """The same that asks its model for every score."""
        return CrossEncoderStage(self.options, self._material, remembers=False)


class Scores:
    """Scores of pairs of texts by one model, in one file that several processes share.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=WAIT_S)
        connection.execute("CREATE TABLE IF NOT EXISTS scores (pair BLOB PRIMARY KEY, score REAL NOT NULL)")
        return connection

    def read(self, question: str, texts: Sequence[str]) -> dict[str, float]:
        """The scores that are known, by text; a file that is damaged is begun anew."""
        keys = {_pair(question, text): text for text in texts}
        marks = ",".join("?" * len(keys))
        try:
            with closing(self._open()) as connection:
                rows = connection.execute(f"SELECT pair, score FROM scores WHERE pair IN ({marks})", list(keys))
                return {keys[pair]: score for pair, score in rows}
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # it is locked, or the disk is full: nothing is known
                return {}
            self.path.unlink(missing_ok=True)
            return {}

    def write(self, question: str, scores: dict[str, float]) -> None:
        """Keep scores by text; where they cannot be kept they are computed again next time."""
        rows = [(_pair(question, text), score) for text, score in scores.items()]
        try:
            with closing(self._open()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
        except sqlite3.DatabaseError:
            return


def _pair(question: str, text: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (question, text):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()


def _device(material: Material) -> str:
    encoder = material.prepared.encoder
    return encoder.device if encoder is not None else resolve_device("auto")


@lru_cache(maxsize=2)
def _loaded(name: str, device: str) -> tuple[Any, str]:
    """A cross-encoder that gives one score a pair, and its fingerprint.

    Raises:
        NotFoundError: there is none of that name.
        CorruptDataError: its files are damaged.
        InputError: it is no model with one score a pair.
    """
    from sentence_transformers import CrossEncoder

    with loading(name):
        model = CrossEncoder(name, device=device)
    labels = getattr(model, "num_labels", 1)
    if labels != 1:
        raise InputError(f"Expected a cross-encoder with one score a pair, {name!r} gives {labels}: choose another.")
    return model, model_fingerprint(model)
