"""Teachers: a cross-encoder by name, its scores kept on disk so that no pair is scored twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError, NotFoundError
from engine.training.data import TrainingData


class CachedTeacher:
    """Scores pairs with a model and remembers every score in a file.

    Args:
        model: Anything with `predict(pairs) -> scores`, such as a CrossEncoder.
        name: Part of the key, so that two teachers share a file.
        cache: The file.
        batch: Pairs a call.
    """

    def __init__(self, model: Any, name: str, cache: str | Path, batch: int = 64) -> None:
        self.model, self.name, self.batch = model, name, batch
        self.asked = 0  # pairs that the model had to score
        Path(cache).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(str(cache))
            self._file.execute("CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, score REAL) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{cache} is no score cache ({error}): give another file.") from None

    @classmethod
    def load(cls, name: str, cache: str | Path, device: str | None = None) -> CachedTeacher:
        """Load a cross-encoder.

        Args:
            name: Folder or hub name.
            cache: File of its scores.
            device: Torch device; the library's choice when None.

        Returns:
            The teacher.

        Raises:
            NotFoundError: it is not there and cannot be fetched.
        """
        from sentence_transformers import CrossEncoder

        try:
            return cls(CrossEncoder(name, device=device), name, cache)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise NotFoundError(
                f"Teacher {name!r} could not be loaded ({reason}): give a cached name or a folder."
            ) from None

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Score pairs.

        Args:
            pairs: (question, text).

        Returns:
            float32 [n], in the teacher's own units.

        Raises:
            InputError: the model gave something else than one finite number a pair; what came before is kept.
        """
        keys = [self._key(question, text) for question, text in pairs]
        known = {key: self._find(key) for key in dict.fromkeys(keys)}
        missing = [i for i, key in enumerate(keys) if known[key] is None]
        missing = list({keys[i]: i for i in missing}.values())
        for start in range(0, len(missing), self.batch):
            part = missing[start : start + self.batch]
            scores = np.asarray(self.model.predict([pairs[i] for i in part]), np.float32).reshape(-1)
            if len(scores) != len(part) or not np.isfinite(scores).all():
                raise InputError(f"Teacher {self.name!r} must give one finite score a pair: choose another model.")
            for i, score in zip(part, scores, strict=True):
                known[keys[i]] = float(score)
            with self._file:
                rows = [(keys[i], float(score)) for i, score in zip(part, scores, strict=True)]
                self._file.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
            self.asked += len(part)
        return np.array([known[key] for key in keys], np.float32)

    def _key(self, question: str, text: str) -> bytes:
        return hashlib.blake2b("\0".join((self.name, question, text)).encode("utf-8", "surrogatepass")).digest()[:16]

    def _find(self, key: bytes) -> float | None:
        row = self._file.execute("SELECT score FROM scores WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]


def add_teacher_scores(data: TrainingData, teacher: CachedTeacher) -> TrainingData:
    """Turn rows with negatives into scored lists for distillation.

    Args:
        data: Rows with one negative or more.
        teacher: Scores each question with each of its documents.

    Returns:
        The same rows with scores.

    Raises:
        InputError: pairs only.
    """
    names = [name for name in data.columns if name != "query"]
    if len(names) < 2:
        raise InputError(f"Expected rows with negatives, got pairs from {data.name}: mine negatives first.")
    uneven = next((i for name in names for i, text in enumerate(data.columns[name]) if not text), None)
    if uneven is not None:
        raise InputError(
            f"Expected as many negatives in every row of {data.name}, since each gets a score, the row of "
            f"{data.columns['query'][uneven][:60]!r} has fewer: mine as many for all."
        )
    pairs = [(query, data.columns[name][i]) for i, query in enumerate(data.columns["query"]) for name in names]
    scores = teacher(pairs).reshape(len(data), len(names))
    return replace(data, scores=[[float(score) for score in row] for row in scores])
