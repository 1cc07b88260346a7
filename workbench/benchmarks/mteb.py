"""Our encoder, indexes and systems as a model of mteb, so that `mteb.evaluate` searches with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Collection, Encoder, Ranking
from engine.errors import InputError, missing_extra
from engine.indexes import Index, changed_settings, index_class
from engine.letters import clean
from engine.pooling import parse_pool
from engine.reading.mteb_tasks import document_text, query_text
from workbench.cache import cached_index
from workbench.experiments.plan import parse_spec
from workbench.experiments.prepare import prepare
from workbench.paths import data_folder
from workbench.systems import System, build, parse_system

if TYPE_CHECKING:
    from mteb.cache import ResultCache
    from mteb.models import ModelMeta

LOG = logging.getLogger("engine.reading")  # commands print what readers leave out
Scores = dict[str, dict[str, float]]


class SearchModel:
    """A model of mteb, by its search protocol: `mteb.evaluate(SearchModel(encoder, "plaid"), tasks)`.

    Token vectors and indexes are kept for next time, as those of every command. Documents and queries without any text
    are left out: they are found by nobody and find nothing.

    Args:
        encoder: The model.
        index: Kind of index, and settings: "exact", "plaid:bits=2".
        system: A whole system in place of the index, such as "bm25:k=1000 > maxsim".
        pool: How document vectors are made fewer; "" keeps all.
        vectors: How vectors are kept: "float16" or "float32".

    Raises:
        InputError: an unknown kind, system, setting, or both of index and system.
        MissingExtraError: mteb is not installed.
    """

    def __init__(
        self, encoder: Encoder, index: str = "exact", system: str = "", pool: str = "", vectors: str = "float16"
    ) -> None:
        if system and index != "exact":
            raise InputError(f"A system names its own stages, so the index {index!r} means nothing: leave it out.")
        self.encoder = encoder
        self.kind, self.settings = parse_spec(index)
        index_class(self.kind).parse_settings(self.settings)
        index_class(self.kind).check_installed()
        self.system = str(parse_system(system)) if system else ""
        self.pooling = parse_pool(pool)
        self.vectors = vectors
        self._searcher: Index | System | None = None
        self._collection: Collection | None = None
        self.mteb_model_meta = self._described()

    def index(self, corpus: Iterable[Mapping[str, Any]], *, task_metadata: Any, **_: Any) -> None:
        """Encode and index a corpus; what mteb says of batches and processes has no use here.

        Args:
            corpus: Rows with id, text and perhaps title.
            task_metadata: Of the task.
        """
        texts = {str(row["id"]): clean(document_text(row)) for row in corpus}
        empty = [name for name, text in texts.items() if not text.strip()]
        if empty:
            LOG.info("%s: %d documents without text are left out, first %r.", task_metadata.name, len(empty), empty[0])
        kept = {name: text for name, text in texts.items() if text.strip()}
        self._collection = Collection(kept, name=task_metadata.name)
        prepared = prepare(self._collection, self.encoder, vectors=self.vectors)
        prepared.pooler.check(self.pooling)
        if self.system:
            self._searcher = build(self.system, prepared, lambda: prepared.pooled(self.pooling)[0])
            return
        documents = prepared.pooled(self.pooling)[0]
        self._searcher = cached_index(self.kind, list(kept), documents, **self.settings)[0]

    def search(
        self, queries: Iterable[Mapping[str, Any]], *, top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None, **_: Any,
    ) -> Scores:  # fmt: skip
        """Search the indexed corpus, or rank the documents that a reranking task gives.

        Args:
            queries: Rows with id, text and perhaps instruction.
            top_k: Documents a query.
            top_ranked: Query -> the documents to rank.

        Returns:
            Query -> {document: score}.

        Raises:
            InputError: nothing was indexed.
            UnsupportedError: the kind of index cannot search among some documents, which reranking asks for.
        """
        if self._searcher is None or self._collection is None:
            raise InputError("Expected an indexed corpus, got a search before that: call index first.")
        texts = {str(row["id"]): clean(query_text(row)) for row in queries}
        found: Scores = {name: {} for name in texts}
        asked = {name: text for name, text in texts.items() if text.strip()}
        if not asked:
            return found
        encoded = (
            self._searcher.ask(list(asked.values()))
            if isinstance(self._searcher, System)
            else self.encoder.encode_query(list(asked.values()))
        )
        for name, ranking in zip(asked, self._ranked(encoded, list(asked), top_k, top_ranked), strict=True):
            found[name] = dict(zip(ranking.ids, map(float, ranking.scores), strict=True))
        return found

    def _ranked(
        self, encoded: Any, names: list[str], k: int, given: Mapping[str, list[str]] | None
    ) -> Iterable[Ranking]:
        """One ranking a query, among all documents or those that are given for it."""
        assert self._searcher is not None
        assert self._collection is not None
        if given is None:
            return self._searcher.search(encoded, k)
        if isinstance(self._searcher, Index):
            self._searcher.check_can("subset")
        known = self._collection.documents
        chosen = [[name for name in given.get(query, ()) if name in known] for query in names]
        return [self._searcher.search(encoded.select([row]), k, subset)[0] for row, subset in enumerate(chosen)]

    def _described(self) -> ModelMeta:
        """What mteb files results under: the model, its fingerprint as revision, and how it was searched."""
        try:
            from mteb.models import ModelMeta
            from mteb.models.model_meta import ScoringFunction
        except ImportError:
            raise missing_extra("mteb", "benchmarks") from None
        searched: dict[str, Any] = {"system": self.system} if self.system else {"index": self.kind}
        searched |= {} if self.system else changed_settings(self.kind, self.settings)
        searched |= {} if self.pooling.keeps_all else {"pool": str(self.pooling)}
        name = self.encoder.name if _on_hub(self.encoder.name) else f"late-interaction-workbench/{_plain(self.encoder)}"
        described = {
            "name": name, "revision": self.encoder.fingerprint, "embed_dim": self.encoder.dim,
            "max_tokens": self.encoder.max_length("document"), "similarity_fn_name": ScoringFunction.MAX_SIM,
            "model_type": ["late-interaction"], "modalities": ["text"], "framework": ["PyTorch"],
            "experiment_kwargs": {**searched, "vectors": self.vectors},
        }  # fmt: skip
        return ModelMeta.create_empty(overwrites=described)


def _on_hub(name: str) -> bool:
    return name.count("/") == 1 and not Path(name).exists() and not name.startswith((".", "/"))


def _plain(encoder: Encoder) -> str:
    return Path(encoder.name).name or "model"


def result_cache() -> ResultCache:
    """Where results in mteb's own format are kept; a task that is there is not computed again."""
    try:
        from mteb.cache import ResultCache
    except ImportError:
        raise missing_extra("mteb", "benchmarks") from None
    return ResultCache(cache_path=data_folder("mteb"))
