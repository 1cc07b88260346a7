"""What the stages of a system are built on: one collection and its vectors; and the questions that they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings
from engine.errors import InputError
from engine.retrieval import id_order
from workbench.experiments.progress import SILENT, Steps

if TYPE_CHECKING:
    from workbench.experiments.prepare import Prepared


@dataclass(frozen=True, eq=False)
class Question:
    """One question as stages see it.

    Args:
        text: Its text.
        parts: Need -> what was encoded for it: one query of `TokenEmbeddings`, or a vector [dim].
    """

    text: str
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions with all that the stages of a system need to know of them, so that clocks see no encoding.

    Args:
        texts: n questions.
        parts: Need -> n queries of `TokenEmbeddings`, or vectors [n, dim].
    """

    texts: tuple[str, ...]
    parts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, number: int) -> Question:
        """One question."""
        parts = {need: part.select([number]) if isinstance(part, TokenEmbeddings) else part[number]
                 for need, part in self.parts.items()}  # fmt: skip
        return Question(self.texts[number], parts)

    def select(self, numbers: Sequence[int] | np.ndarray) -> Questions:
        """Some of them, in the order given."""
        rows = np.asarray(numbers, np.int64)
        parts = {need: part.select(rows) if isinstance(part, TokenEmbeddings) else part[rows]
                 for need, part in self.parts.items()}  # fmt: skip
        return Questions(tuple(self.texts[i] for i in rows), parts)


class Material:
    """A collection and its vectors, which are encoded when a stage first asks for them.

    Args:
        prepared: Collection, model and vectors.
        documents: Gives the vectors that late stages hold, such as pooled ones; those of `prepared` when None.
        steps: Told of the progress.
        scratch: A folder for indexes that are not kept for next time.
    """

    def __init__(
        self, prepared: Prepared, documents: Callable[[], TokenEmbeddings] | None = None, steps: Steps = SILENT,
        scratch: Path | None = None,
    ) -> None:  # fmt: skip
        self.prepared = prepared
        self.steps = steps
        self.scratch = scratch
        self._documents = documents or (lambda: prepared.encode("document", steps)[0])

    @property
    def collection(self) -> Collection:
        """Texts and judgements."""
        return self.prepared.collection

    @property
    def encoder(self) -> Encoder:
        """The model.

        Raises:
            InputError: the vectors were given, and no model.
        """
        if self.prepared.encoder is None:
            raise InputError("Expected vectors that a model made, since a stage needs it: prepare with a model.")
        return self.prepared.encoder

    @cached_property
    def documents(self) -> TokenEmbeddings:
        """Vectors of the documents, as late stages hold them."""
        return self._documents()

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the documents."""
        return list(self.collection.documents)

    @cached_property
    def texts(self) -> list[str]:
        """Texts of the documents."""
        return list(self.collection.documents.values())

    @cached_property
    def position(self) -> dict[str, int]:
        """Id -> position."""
        return {name: number for number, name in enumerate(self.ids)}

    @cached_property
    def ties(self) -> np.ndarray:
        """int64 [documents], the rank of each id: who comes first among equals."""
        return id_order(self.ids)

    def names(self, positions: np.ndarray | None) -> list[str] | None:
        """Ids of some documents; None for None."""
        return None if positions is None else [self.ids[i] for i in positions]

    def tokens(self, texts: Sequence[str]) -> TokenEmbeddings:
        """Vectors of questions; those of the collection are kept and not encoded again."""
        if list(texts) == list(self.collection.queries.values()):
            return self.prepared.encode("query", self.steps)[0]
        return self.encoder.encode_query(texts).prefix(self.prepared.dim).astype(self.prepared.vectors)
