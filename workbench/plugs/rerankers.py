"""A ranker of the package `rerankers`.

from workbench.plugs.rerankers import LateInteractionRanker

ranker = LateInteractionRanker("embedded")
ranker.rank("how do I sort a list", ["list.sort ...", "random.shuffle ..."]).top_k(1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rerankers.documents import Document
from rerankers.models.ranker import BaseRanker
from rerankers.results import RankedResults, Result
from rerankers.utils import prep_docs

from workbench.plugs.ranker import Ranker


class LateInteractionRanker(BaseRanker):
    """Ranks by late interaction.

    Args:
        model_name_or_path: See `Ranker`: a name, a folder, an encoder or a client.
        verbose: Of the base class; nothing is printed.
        scorer: See `Ranker`.
        device: See `Ranker`.
    """

    ranking_type = "pointwise"

    def __init__(
        self, model_name_or_path: Any = "embedded", verbose: int = 0, scorer: str = "maxsim", device: str = "auto"
    ) -> None:
        self.ranker = Ranker(model_name_or_path, scorer, device)
        self.verbose = verbose

    def score(self, query: str, doc: str) -> float:
        """The score of one text."""
        return float(self.ranker.scores(query, [doc])[0])

    def rank(
        self, query: str, docs: str | Sequence[str] | Document | Sequence[Document],
        doc_ids: Sequence[str] | Sequence[int] | None = None, metadata: Sequence[dict[str, Any]] | None = None,
    ) -> RankedResults:  # fmt: skip
        """Put documents in order.

        Args:
            query: The question.
            docs: Texts or documents of the package.
            doc_ids: Their ids; places when None.
            metadata: What each carries along.

        Returns:
            All documents with rank and score, best first.
        """
        given: Any = docs if isinstance(docs, (str, Document)) else list(docs)
        if not given:
            return RankedResults([], query, has_scores=True)
        ids: Any = None if doc_ids is None else list(doc_ids)
        carried = None if metadata is None else list(metadata)
        prepared: Any = prep_docs(given, ids, carried)
        best = self.ranker.best(query, [document.text or "" for document in prepared])
        results = [Result(prepared[place], score, rank) for rank, (place, score) in enumerate(best, start=1)]
        return RankedResults(results, query, has_scores=True)
