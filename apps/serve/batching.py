"""How concurrent requests share a model: each a batch of its own, or what waits together in one.

A vector depends on the batch that it is computed in, by the rounding of sums, and by up to some hundredths of its
length where the linear layers compute in 8 bits. So by default every request is a batch of its own, and its numbers are
those of the commands whoever else asks at the moment. Sharing is faster and is a person's choice.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apps.serve.metrics import Metrics
from engine import Encoder, TokenEmbeddings
from engine.encoder import Progress, Task

MOST_TEXTS = 64  # of a shared batch
MOST_LETTERS = 200_000


@dataclass(eq=False)
class _Asked:
    texts: list[str]
    task: Task
    answer: Future[TokenEmbeddings] = field(default_factory=Future)

    @property
    def letters(self) -> int:
        return sum(map(len, self.texts))


class Counted:
    """An encoder that counts what it encodes; in all else the one that it wraps.

    Every call sets the threads of torch anew: a call in another thread may have left this one with a single thread, and
    a number must not depend on who encoded before.

    Args:
        encoder: The model.
        metrics: Told of each batch.
    """

    def __init__(self, encoder: Encoder, metrics: Metrics) -> None:
        import torch

        self._encoder, self._metrics = encoder, metrics
        self._threads, self._set_threads = torch.get_num_threads(), torch.set_num_threads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_query(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """See `Encoder.encode_query`."""
        return self._encoded(texts, "query", progress)

    def encode_document(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """See `Encoder.encode_document`."""
        return self._encoded(texts, "document", progress)

    def _encoded(self, texts: Sequence[str], task: Task, progress: Progress | None) -> TokenEmbeddings:
        self._set_threads(self._threads)
        encode = self._encoder.encode_query if task == "query" else self._encoder.encode_document
        found = encode(texts, progress)
        self._metrics.encoded(task, len(texts))
        return found


class Sharing(Counted):
    """An encoder that encodes together what waits when it is free; nobody waits for others to come.

    Args:
        encoder: The model.
        metrics: Told of each batch.
    """

    def __init__(self, encoder: Encoder, metrics: Metrics) -> None:
        super().__init__(encoder, metrics)
        self._line: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="shared batches", daemon=True).start()

    def _encoded(self, texts: Sequence[str], task: Task, progress: Progress | None) -> TokenEmbeddings:
        asked = _Asked(list(texts), task)
        if progress is not None or len(texts) > MOST_TEXTS or asked.letters > MOST_LETTERS:
            return super()._encoded(texts, task, progress)
        self._line.put(asked)
        return asked.answer.result()

    def waiting(self) -> int:
        """How many requests wait for a batch."""
        return self._line.qsize()

    def _work(self) -> None:
        left: list[_Asked] = []
        while True:
            first = left.pop(0) if left else self._line.get()
            together, left = _fitting(first, [*left, *_waiting(self._line)])
            self._answer(together)

    def _answer(self, together: list[_Asked]) -> None:
        try:
            texts = [text for asked in together for text in asked.texts]
            vectors = super()._encoded(texts, together[0].task, None)
        except Exception as error:
            if len(together) == 1:
                together[0].answer.set_exception(error)
                return
            for asked in together:  # whoever asked for what cannot be encoded is told, and nobody else
                self._answer([asked])
            return
        start = 0
        for asked in together:
            end = start + len(asked.texts)
            asked.answer.set_result(vectors if len(together) == 1 else vectors.select(np.arange(start, end)))
            start = end


def _waiting(line: queue.SimpleQueue[_Asked]) -> list[_Asked]:
    found = []
    while True:
        try:
            found.append(line.get_nowait())
        except queue.Empty:
            return found


def _fitting(first: _Asked, waiting: list[_Asked]) -> tuple[list[_Asked], list[_Asked]]:
    """Those of one task that fit in a batch with the first, in their order, and those that have to wait."""
    together, left = [first], []
    texts, letters = len(first.texts), first.letters
    for asked in waiting:
        texts, letters = texts + len(asked.texts), letters + asked.letters
        if asked.task == first.task and texts <= MOST_TEXTS and letters <= MOST_LETTERS:
            together.append(asked)
        else:
            left.append(asked)
            texts, letters = texts - len(asked.texts), letters - asked.letters
    return together, left


def wrapped(encoder: Encoder, metrics: Metrics, shared: bool) -> Any:
    """The encoder as a server uses it."""
    return (Sharing if shared else Counted)(encoder, metrics)
