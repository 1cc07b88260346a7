"""The engine of late interaction: text to token embeddings, pooled, indexed, searched, evaluated, explained."""

# Plain imports, on purpose: `engine.maxsim` and `engine.explain` are also the names of functions, and only an import
# here binds the function over the submodule for good. None of these modules imports torch before it is used.
from engine.collection import Collection
from engine.embeddings import TokenEmbeddings
from engine.encoder import Encoder
from engine.evaluation import Evaluation, evaluate
from engine.explain import Alignment, explain
from engine.indexes import create_index, open_index
from engine.maxsim import maxsim
from engine.pooling import pool
from engine.reading import load_collection
from engine.retrieval import Ranking, rerank

__all__ = [
    "Alignment",
    "Collection",
    "Encoder",
    "Evaluation",
    "Ranking",
    "TokenEmbeddings",
    "create_index",
    "evaluate",
    "explain",
    "load_collection",
    "maxsim",
    "open_index",
    "pool",
    "rerank",
]
