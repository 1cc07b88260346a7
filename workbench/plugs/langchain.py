"""A retriever and a document compressor of LangChain.

from workbench.plugs.langchain import LateInteractionCompressor, LateInteractionRetriever

LateInteractionRetriever(searched=open_workspace("papers"), k=5).invoke("when is the spring tide")
LateInteractionCompressor(ranker=Ranker(), top_n=3)     # behind any other retriever
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from workbench.answers import found_values
from workbench.client import Client
from workbench.client.schema import SearchAnswer
from workbench.plugs.ranker import Ranker
from workbench.workspace import Workspace

SCORE = "relevance_score"  # in the metadata, as LangChain's own compressors call it


class LateInteractionRetriever(BaseRetriever):
    """Finds documents by late interaction, on this machine or at a server.

    Args:
        searched: A workspace (`open_workspace`, `open_indexed`), or a client of a server.
        k: How many documents.
        where: A condition on their fields, or "".
        collection: Of a server; its first when empty.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    searched: Workspace | Client
    k: int = Field(default=10, ge=1)
    where: str = ""
    collection: str = ""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        if isinstance(self.searched, Client):
            found = self.searched.search(query, self.k, collection=self.collection, where=self.where)
        else:
            result = self.searched.search(query, self.k, where=self.where)
            found = SearchAnswer(**found_values(self.searched, result, contributions=False))
        return [
            Document(
                page_content=hit.text, id=hit.id,
                metadata={"id": hit.id, "title": hit.title, "part": hit.part, "rank": hit.rank, SCORE: hit.score},
            )
            for hit in found.hits
        ]  # fmt: skip


class LateInteractionCompressor(BaseDocumentCompressor):
    """Keeps the best of what another retriever found, in the order of late interaction.

    Args:
        ranker: What scores.
        top_n: How many are kept; all when None.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    ranker: Ranker = Field(default_factory=Ranker)
    top_n: int | None = Field(default=10, ge=1)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Put documents in order and keep the best.

        Args:
            documents: What was found; none of them is changed.
            query: The question.
            callbacks: Of LangChain; nothing here has steps to tell.

        Returns:
            Copies with "relevance_score" in their metadata.
        """
        best = self.ranker.best(query, [document.page_content for document in documents], self.top_n)
        found: list[Any] = []
        for place, score in best:
            kept = documents[place]
            found.append(kept.model_copy(update={"metadata": {**kept.metadata, SCORE: score}}))
        return found
