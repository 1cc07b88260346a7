"""Plugs into what people already run: rerankers, LangChain, LlamaIndex and sentence-transformers, a file each.

All of them score by `Ranker`: with a model on this machine, or at a server that `workbench serve` started.
"""

from workbench.plugs.ranker import Ranker

__all__ = ["Ranker"]
