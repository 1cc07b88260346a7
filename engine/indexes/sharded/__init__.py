"""One index in several shards, each an index of another kind, searched in this process or by others."""

from engine.indexes.sharded.index import ShardedIndex

__all__ = ["ShardedIndex"]
