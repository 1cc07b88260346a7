"""A node postprocessor of LlamaIndex.

from workbench.plugs.llama_index import LateInteractionRerank

index.as_query_engine(node_postprocessors=[LateInteractionRerank(top_n=5)])
"""

from __future__ import annotations

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from engine.errors import InputError
from workbench.plugs.ranker import Ranker


class LateInteractionRerank(BaseNodePostprocessor):
    """Keeps the best nodes in the order of late interaction; texts are read with their metadata, as they are embedded.

    Args:
        ranker: What scores.
        top_n: How many are kept.
    """

    ranker: Ranker = Field(default_factory=Ranker, exclude=True)
    top_n: int = Field(default=10, ge=1)

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it."""
        return "LateInteractionRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("Expected a query to rerank nodes by, got none: pass query_str or query_bundle.")
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        best = self.ranker.best(query_bundle.query_str, texts, self.top_n)
        return [NodeWithScore(node=nodes[place].node, score=score) for place, score in best]
