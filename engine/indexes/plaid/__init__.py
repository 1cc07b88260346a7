"""PLAID: search by centroids first, by compressed residuals next, by exact scores of stored vectors last."""

from engine.indexes.plaid.index import PlaidIndex
from engine.indexes.plaid.settings import PlaidSettings

__all__ = ["PlaidIndex", "PlaidSettings"]
