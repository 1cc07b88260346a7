"""Pool the documents of a prepared collection, by a factor or a budget; what several of them share is done once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from engine import TokenEmbeddings
from engine.errors import InputError
from engine.pooling import Linkage, Method, Pieces, PoolSettings, groups_by, link, prune, token_pieces
from engine.pooling.pieces import module_of_importance
from workbench.cache import cached_pooled, content_key, keep_arrays, kept_arrays
from workbench.experiments.progress import SILENT, Steps
from workbench.paths import data_folder

if TYPE_CHECKING:
    from workbench.experiments.prepare import Prepared

KIND = "token-pieces"


class Pooler:
    """Pools documents, and remembers the last linkage and their word pieces.

    Args:
        prepared: The collection and its vectors.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._linkage: tuple[str, Linkage] | None = None
        self._pieces: dict[str, Pieces] = {}

    def check(self, settings: PoolSettings) -> None:
        """Refuse pool settings that these vectors cannot be pooled by, before any text is encoded.

        Raises:
            InputError: a budget without room for what the model adds, or one that needs a model where none is.
            UnsupportedError: the model gives no importances, which the settings ask for.
        """
        encoder = self.prepared.encoder
        settings.check_added(encoder.added if encoder is not None else self.prepared.documents.added)
        if not settings.drops:
            return
        if encoder is None:
            raise InputError(
                f"Expected the model that made the vectors, since {settings} needs the tokens of texts, got vectors "
                "alone: pass the model, or pool by a factor."
            )
        if settings.importance is not None and settings.by == "model":
            module_of_importance(encoder)

    def pooled(
        self, settings: PoolSettings, keep: bool = True, steps: Steps = SILENT
    ) -> tuple[TokenEmbeddings, float | None, bool]:
        """The documents pooled; the linkage of the last method is kept, so that ten factors and budgets cost one.

        Args:
            settings: What to keep.
            keep: Whether they are kept on disk.
            steps: Told of the progress.

        Returns:
            The vectors, the seconds that pooling took, and whether they were there already.
        """
        if settings.keeps_all:
            return self.prepared.documents, 0.0, True

        def merge() -> TokenEmbeddings:
            if not settings.merges:
                return self._pruned(settings, steps)
            key = str(replace(settings, factor=1.0, tokens=None, distance=None))  # these are cuts of one linkage
            held = self._linkage  # one look: another thread may keep another method's meanwhile
            if held is None or held[0] != key:
                left = self._pruned(settings, steps)
                held = self._linkage = key, link(left, cast(Method, settings.method), settings.protected)
            return held[1].pool(settings.factor, tokens=settings.tokens, distance=settings.distance)

        source = content_key(self.prepared.identity, *self.prepared.collection.documents.values())
        return cached_pooled(merge, source, settings, keep)

    def _pruned(self, settings: PoolSettings, steps: Steps) -> TokenEmbeddings:
        return prune(self.prepared.documents, settings, self.pieces(settings, steps))[0]

    def pieces(self, settings: PoolSettings, steps: Steps = SILENT) -> Pieces | None:
        """The word pieces of all documents, where settings need them; kept for next time."""
        if not settings.drops:
            return None
        by, encoder = settings.by, self.prepared.encoder
        if by not in self._pieces:
            assert encoder is not None  # see `check`
            texts = list(self.prepared.collection.documents.values())
            folder = data_folder("cache", "pieces") / content_key(KIND, encoder.fingerprint, by, *texts)
            kept = kept_arrays(folder, KIND, "names", "importance")
            if kept is None:
                told = token_pieces(encoder, texts, by, lambda done, total: steps("word pieces", done, total))
                kept = told.names, told.importance
                keep_arrays(folder, KIND, {"names": told.names, "importance": told.importance})
            self._pieces[by] = Pieces(*kept)
        return self._pieces[by]

    def groups_of(self, position: int, settings: PoolSettings) -> np.ndarray:
        """Which vectors of one document go together.

        Args:
            position: Of the document.
            settings: What is kept.

        Returns:
            int64 [tokens], the pooled vector of the document that each went into, -1 where it was dropped.
        """
        documents, whole = self.prepared.documents, self.pieces(settings)
        start, end = documents.offsets[position : position + 2]
        pieces = None if whole is None else Pieces(whole.names[start:end], whole.importance[start:end])
        return groups_by(documents[position : position + 1], settings, pieces)[0]
