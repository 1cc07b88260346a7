"""A workspace: one collection, one model and one index, ready to be searched and explained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache, partial
from typing import Any

from engine import Alignment, Collection, Encoder, TokenEmbeddings
from engine.conditions import Selection
from engine.errors import InputError, NotFoundError
from engine.explain import align
from engine.indexes import DEFAULT_KIND, Index, index_class
from engine.maxsim import scorers
from engine.maxsim.scorers import Scorer
from engine.pooling import KEEP_ALL, PoolSettings, parse_pool, pooled_tokens
from engine.retrieval import check_k, rerank
from engine.tokens import Token
from workbench.answers import Hit, SearchResult
from workbench.cache import cached_index
from workbench.experiments.experiment import EXACT, INDEX, Experiment
from workbench.experiments.measure import scorer_of
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress, Steps
from workbench.systems import System, build, parse_system
from workbench.systems.building import check
from workbench.systems.material import Material
from workbench.systems.text import late, leaves

CANDIDATES = 100  # documents of the index that a scorer reranks, or k where that is more: as experiments do
SHORT = 2000  # characters of a document up to which the tokens of many are kept


class Workspace:
    """Searches a collection and explains what it finds; use `open_workspace`.

    Args:
        prepared: The collection, its vectors and the model that made them.
        index: An index over the same vectors; None builds one of the default kind for those who ask for it.
        scorer: What ranks, as in `Experiment`: "index", or what reranks the documents that the index found.
        system: A whole system that ranks, in place of both.
        pooling: How the documents were pooled that the index holds.

    Raises:
        InputError: no model made the vectors, or an unknown scorer.
    """

    def __init__(
        self, prepared: Prepared, index: Index | None, scorer: str = INDEX, system: System | None = None,
        pooling: PoolSettings = KEEP_ALL,
    ) -> None:  # fmt: skip
        if prepared.encoder is None:
            raise InputError("Expected vectors that a model made, since questions need it: prepare with a model.")
        self.prepared = prepared
        self.collection: Collection = prepared.collection
        self.encoder: Encoder = prepared.encoder
        self.system, self._index, self.pooling = system, index, pooling
        self.scorer, self._scorer = _ranker(prepared.experiment(scorer=scorer))
        self._positions = {name: position for position, name in enumerate(self.collection.documents)}
        self._among = lru_cache(maxsize=16)(self._select)
        self._query = lru_cache(maxsize=256)(self._encode_query)
        short, long = (lru_cache(maxsize=count)(self._name_tokens) for count in (1024, 64))  # of 100 MB at most
        self._document_tokens = lambda text: (short if len(text) <= SHORT else long)(text)
        self.explain = lru_cache(maxsize=64)(self._explain)  # a page explains what it has just found
        self.ranked_by = lru_cache(maxsize=8)(self._ranked_by)

    def _ranked_by(self, scorer: str) -> Workspace:
        """The same with another scorer, which shares vectors and index with this one.

        Raises:
            InputError: an unknown scorer, or one whose weights the model does not have.
        """
        return self if scorer == self.scorer else Workspace(self.prepared, self.index, scorer, pooling=self.pooling)

    def scorers(self) -> dict[str, str]:
        """What can rank here, with a line on each; a scorer whose weights the model does not have is left out."""
        if self.system is not None:
            return {INDEX: f"the system {self.system.text} ranks"}
        found = {INDEX: "the index ranks, by MaxSim on the vectors that it stores"}
        for name in scorers.names():
            try:
                scorer, _ = _ranker(self.prepared.experiment(scorer=name))
            except InputError:
                continue
            on = " on the original vectors" if scorer == EXACT else ""
            found[scorer] = scorers.about(name) + on
        return found

    def _name_tokens(self, text: str) -> list[Token]:
        return self.encoder.tokens(text, "document")

    def _encode_query(self, question: str) -> tuple[TokenEmbeddings, list[Token]]:
        if not question.strip():
            raise InputError("Expected a question, got an empty one: type a few words.")
        encoded = self.encoder.encode_query([question]).astype(self.prepared.vectors)  # as those that are evaluated
        return encoded, self.encoder.tokens(question, "query")

    @property
    def documents(self) -> TokenEmbeddings:
        """Vectors of the documents before an index stores them."""
        return self.prepared.documents

    def vectors_of(self, ids: Sequence[str]) -> TokenEmbeddings:
        """Vectors of some documents: the original ones where they are at hand, else those that the index stores.

        Raises:
            NotFoundError: no such document.
            UnsupportedError: this kind of index cannot give them back.
        """
        unknown = next((name for name in ids if name not in self._positions), None)
        if unknown is not None:
            raise NotFoundError(f"{self.collection.name!r} has no document {unknown!r}: take one from a result.")
        if not self.prepared.encoded:
            return self.index.stored(ids)
        return self.documents.select([self._positions[name] for name in ids])

    @cached_property
    def index(self) -> Index:
        """The index that is searched; beside a system one of the default kind, built when it is first asked for."""
        return self._index or cached_index(DEFAULT_KIND, list(self.collection.documents), self.documents)[0]

    @property
    def searched(self) -> str:
        """What ranks, in a word: the kind of the index, or the system's text."""
        return self.index.kind if self.system is None else self.system.text

    def query(self, question: str) -> TokenEmbeddings:
        """The vectors of a question, kept as those that are evaluated.

        Raises:
            InputError: an empty question.
        """
        return self._query(question)[0]

    @property
    def scored_on(self) -> str:
        """Which vectors scores and their parts are of, in words."""
        if self.system is not None:
            return f"what the system {self.system.text} scores; parts are those of MaxSim on the original vectors"
        kind, settings = self.index.kind, asdict(self.index.settings)
        if self._scorer is not None:
            name = "MaxSim" if self.scorer == EXACT else self.scorer
            return f"the original vectors by {name}, which reranks what the {kind} index found"
        if "stored" not in self.index.abilities:
            return f"what the {kind} index stores, their parts on the original vectors, which may differ a little"
        precision = f"{settings['bits']}-bit" if settings.get("bits") else settings.get("dtype", "stored")
        pooled = "" if self.pooling.keeps_all else f", pooled by {self.pooling}"
        return f"the {precision} vectors of the {kind} index{pooled}"

    @property
    def caveat(self) -> str:
        """Why the parts of a score do not sum to it; empty where they do, or nearly so."""
        if self.system is not None:
            last = list(leaves(parse_system(self.system.text)))[-1]
            by_maxsim = str(last) == scorers.DEFAULT or (last.name == EXACT and len(self.system.stages) == 1)
            told = "its score is another one than the sum of these parts, which are those of MaxSim"
            return "" if by_maxsim else f"Ranked by {self.system.text}: {told}."
        if self.scorer in (INDEX, EXACT):
            return ""
        return (
            f"Ranked by {self.scorer}, whose score is no such sum: the parts are those of MaxSim on the same vectors."
        )

    def among(self, condition: str) -> Selection:
        """The documents that fit a condition on their fields; see `engine.conditions.Rows.select`."""
        return self._among(condition.strip())

    def _select(self, condition: str) -> Selection:
        return self.collection.rows.select(condition)  # rows are read when the first condition comes

    def search(self, question: str, k: int = 10, subset: Sequence[str] | None = None, where: str = "") -> SearchResult:
        """Find the documents for a question: order and scores of the index or the scorer, as `evaluate` takes them.

        Args:
            question: The question.
            k: How many documents; a scorer reranks a hundred, or k where that is more.
            subset: Ids to search among, or None.
            where: A condition on the fields of the documents to search among, or "".

        Returns:
            The result.

        Raises:
            InputError: an empty question, k below 1, a subset and a condition, or a condition that fits nothing.
            UnsupportedError: this kind of index cannot search among some documents.
        """
        check_k(k)
        if subset is not None and where.strip():
            raise InputError("Expected ids to search among or a condition, got both: give one of them.")
        among = self.among(where) if where.strip() else None
        subset = subset if among is None else among.ids
        start = time.perf_counter()
        query, tokens = self._query(question)
        depth = k if self._scorer is None else max(k, CANDIDATES)
        if self.system is not None:
            ranking = self.system.search([question], k, subset)[0]
        else:
            ranking = self.index.search(query, k=depth, subset=subset)[0]
        notes = ranking.notes
        if self._scorer is not None:
            ranking = rerank(query, [ranking.ids], list(self._positions), self.documents, k, self._scorer)[0]
        titles, texts = self.collection.titles, self.collection.documents
        hits = [
            Hit(rank, name, titles.get(name, name), texts[name], float(score), partial(self.explain, question, name))
            for rank, (name, score) in enumerate(zip(ranking.ids, ranking.scores, strict=True), start=1)
        ]
        seconds = time.perf_counter() - start
        return SearchResult(question, tokens, hits, seconds, self.scored_on, notes, self.caveat, among)

    def _explain(self, question: str, document_id: str) -> Alignment:
        """Show how a document's MaxSim for a question comes about, on the vectors that it is ranked by.

        Args:
            question: The question.
            document_id: A document of the collection.

        Returns:
            The alignment; on the original vectors where a scorer reranks, or the index cannot give back what it
            stores.

        Raises:
            NotFoundError: no such document.
        """
        if document_id not in self._positions:
            raise NotFoundError(f"{self.collection.name!r} has no document {document_id!r}: take one from a result.")
        query, tokens = self._query(question)
        position, behind = self._positions[document_id], self._document_tokens(self.collection.documents[document_id])
        if self.system is not None and not late(parse_system(self.system.text)):  # the collection is not encoded
            vectors = self.encoder.encode_document([self.collection.documents[document_id]])[0]
        elif self.system is None and self._scorer is None and "stored" in self.index.abilities:
            vectors = self.index.stored([document_id])[0]
            if not self.pooling.keeps_all:
                behind = pooled_tokens(behind, self.prepared.pooler.groups_of(position, self.pooling))
        else:
            vectors = self.documents[position]
        return align(query[0], vectors, tokens, behind)

    def explain_text(self, question: str, text: str) -> Alignment:
        """Show how any text would score for a question, on all of its vectors: for texts edited by hand.

        Args:
            question: The question.
            text: The text; it need not be in the collection.

        Returns:
            The alignment.

        Raises:
            InputError: an empty text.
        """
        query, tokens = self._query(question)
        vectors = self.encoder.encode_document([text])
        return align(query[0], vectors[0], tokens, self._document_tokens(text))


def _ranker(wanted: Experiment) -> tuple[str, Scorer | str | None]:
    """The scorer's one name, and what reranks; None where the index ranks."""
    return wanted.scorer, None if wanted.scorer == INDEX else scorer_of(wanted)


def open_workspace(
    collection: str | Collection = "embedded",
    model: str | Encoder = "embedded",
    index: str = DEFAULT_KIND,
    on_progress: Progress | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    scorer: str = INDEX,
    system: str = "",
    where: str = "",
    pool: str = "",
) -> Workspace:
    """Load a collection and a model, encode and index what is not kept from the last time.

    Args:
        collection: A name or path for `load_collection`, or a collection.
        model: A name or path for `Encoder.load`, or an encoder.
        index: A kind of index.
        on_progress: Called with a stage ("encode", "index"), how much is done, and of how much.
        device: Where the model runs.
        settings: Settings of the index that are not the defaults.
        scorer: What ranks, as in `Experiment`: "index", "exact", or a name of `engine.maxsim.scorers`.
        system: A whole system in place of index, settings and scorer; see `workbench.systems`.
        where: A condition that will be searched with: a mistake in it is an error before anything is encoded.
        pool: Which vectors of a document the index keeps, as `engine.pooling.parse_pool` reads it; all when empty.

    Returns:
        The workspace.

    Raises:
        InputError: an unknown kind, setting or scorer, pooling that cannot be, or a scorer whose weights the model does
            not have; before anything is encoded.
    """
    report = on_progress or (lambda stage, done, total: None)
    pooling = parse_pool(pool)
    if system and pool:
        raise InputError("A system names its own stages, so pooling beside it means nothing: leave one of the two out.")
    prepared = prepare(collection, model, device=device)
    _ranker(prepared.experiment(index=index, settings=settings or {}, scorer=scorer))
    if where.strip():
        if not system:
            index_class(index, settings or {}).check_can("subset")
        prepared.collection.rows.select(where.strip())
    prepared.pooler.check(pooling)
    if system:
        check(parse_system(system), Material(prepared))
        if late(parse_system(system)):
            prepared.encode("document", Steps(lambda stage, done, total: report("encode", done, total)))
        return Workspace(prepared, None, system=build(system, prepared, steps=Steps(report)))
    prepared.encode("document", Steps(lambda stage, done, total: report("encode", done, total)))
    documents, _, _ = prepared.pooled(pooling, steps=Steps(report))
    report("index", 0, len(documents))
    told = partial(report, "index")
    built = cached_index(index, list(prepared.collection.documents), documents, told=told, **(settings or {}))[0]
    report("index", len(documents), len(documents))
    return Workspace(prepared, built, scorer, pooling=pooling)
