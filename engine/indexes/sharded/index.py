"""The sharded index: ids and places here, vectors in shards, one small manifest that says which are in force."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError
from engine.indexes import index_class
from engine.indexes.base import Index
from engine.indexes.folder import commit_empty
from engine.indexes.ids import IdTable
from engine.indexes.plaid import PlaidIndex
from engine.indexes.sharded import held
from engine.indexes.sharded.changes import Job, read_shard
from engine.indexes.sharded.held import Held
from engine.indexes.sharded.hosts import Here, Host
from engine.indexes.sharded.merging import joined, merged_stages
from engine.indexes.sharded.placing import shards_of
from engine.indexes.sharded.processes import Processes
from engine.indexes.sharded.settings import inner_settings, named, settings_of
from engine.indexes.state import State
from engine.indexes.trace import Stage, TokenTrace
from engine.retrieval import Ranking

T = TypeVar("T", bound="ShardedIndex")


class ShardedIndex(Index):
    """Documents spread over shards, each an index of another kind that sees every query; the best of all are returned.

    A change writes the next generation of the shards that it concerns into new folders, then the manifest, which names
    the folders in force. This class is the one for shards of PLAID; `made_with` makes those for other kinds.
    """

    kind = "sharded"
    inner: ClassVar[type[Index]] = PlaidIndex
    settings_class = settings_of(PlaidIndex)
    search_settings = (*PlaidIndex.search_settings, "processes")
    can = PlaidIndex.can
    host: Host
    held: Held  # the shards of this generation
    shard: np.ndarray  # int32 [documents], the shard of each storage position
    members: list[np.ndarray]  # int64, the storage positions of each shard's documents, in the shard's own order

    def __init__(self, path: Path, settings: Any, state: State) -> None:
        super().__init__(path, settings, state)
        self.host = _host(settings)

    @classmethod
    def made_with(cls, settings: Mapping[str, Any]) -> type[ShardedIndex]:
        """The class for shards of the kind that the settings name."""
        of = named(settings)
        return _made_of(index_class(of, {name: value for name, value in settings.items() if name != "of"}))

    @classmethod
    def able(cls, settings: Any) -> frozenset[str]:
        """What its shards can do."""
        return cls.inner.able(inner_settings(settings, cls.inner))

    @classmethod
    def check_installed(cls) -> None:
        """Check the package of the shards."""
        cls.inner.check_installed()

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """Those of the shards."""
        return cls.inner.dependency_defaults()

    @classmethod
    def ladder(cls, settings: Any) -> tuple[dict[str, Any], ...]:
        """That of the shards."""
        return cls.inner.ladder(inner_settings(settings, cls.inner))

    @classmethod
    def remedy(cls, setting: str) -> str:
        """That of the shards."""
        return cls.inner.remedy(setting)

    def tuned(self: T, **settings: Any) -> T:
        """See the base class; `processes` searches the same shards elsewhere."""
        other = super().tuned(**settings)
        return other if other.settings.processes == self.settings.processes else other.on(_host(other.settings))

    def on(self: T, host: Host) -> T:
        """The same index, whose shards are opened, searched and changed by another host; rankings stay the same.

        Args:
            host: Where; see `engine.indexes.sharded.hosts`.

        Returns:
            A second index object over the same files.

        Raises:
            WorkerError: the host does not open them.
        """
        other = copy(self)
        other.host, other.held = host, self.held.on(host)
        return other

    def _load(self) -> None:
        manifest, record = self.state.manifest, self.state.manifest.record
        names = record.get("folders", [""] * self.settings.shards)
        self.shard = np.empty(0, np.int32)
        if self.state.dim:
            self.shard = storage.open_array(self.path, manifest, "shard", mmap=False)
        if len(self.shard) != len(self) or not np.isin(self.shard, [i for i, name in enumerate(names) if name]).all():
            raise CorruptDataError(f"The shards of {self.path} do not fit its ids: restore it or build it again.")
        self.members = [np.flatnonzero(self.shard == i) for i in range(len(names))]
        for number, name in enumerate(names):
            if name:
                self._check(number, read_shard(self.path / name))
        self.held = Held(self.host, self.path, names)

    def _check(self, number: int, shard: storage.Manifest) -> None:
        """Raise CorruptDataError unless a shard is the one that was written beside the others."""
        state, record = self.state, shard.record
        wanted = (f"index/{self.inner.kind}", state.dim, len(self.members[number]))
        found = (shard.kind, record.get("dim"), record.get("documents"))
        model = record.get("fingerprint")
        if state.fingerprint is not None and model not in (None, state.fingerprint):
            raise CorruptDataError(
                f"Shard {number} of {self.path} holds vectors of model {model}, the others those of "
                f"{state.fingerprint}: build the index again with one model."
            )
        if found != wanted:
            raise CorruptDataError(
                f"Shard {number} of {self.path} is {found[0]} of {found[2]} documents in dimension {found[1]}, "
                f"expected {wanted[0]} of {wanted[2]} in dimension {wanted[1]}: restore it or build the index again."
            )
        if _mark(shard) != state.manifest.record["marks"][number]:
            raise CorruptDataError(
                f"Shard {number} of {self.path} is not as it was written: restore it or build it again."
            )

    def _inner_settings(self) -> dict[str, Any]:
        return asdict(inner_settings(self.settings, self.inner))

    def _tuning(self) -> dict[str, Any]:
        """The search settings of the shards."""
        return {name: getattr(self.settings, name) for name in self.inner.search_settings}

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        asked = [(i, None) for i, own in enumerate(self.members) if len(own)]
        if subset is not None:
            places = [np.flatnonzero(np.isin(own, subset, assume_unique=True)) for own in self.members]
            asked = [(i, own) for i, own in enumerate(places) if len(own)]
        found = self.held.ask_each("search", [(i, (queries, k, own)) for i, own in asked], self._tuning())
        return [joined(parts, k) for parts in zip(*found, strict=True)]

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        shards = self.shard[positions]
        asked = [(int(i), positions[shards == i]) for i in np.unique(shards)]
        found = self.held.ask_each("vectors", [(i, (self._local(i, own),)) for i, own in asked])
        vectors = TokenEmbeddings.join(found, [np.flatnonzero(shards == i) for i, _ in asked])
        return replace(vectors, fingerprint=self.state.fingerprint)

    def _local(self, shard: int, positions: np.ndarray) -> np.ndarray:
        """Positions inside a shard."""
        return np.searchsorted(self.members[shard], positions)

    def _stored_scores(self, query: TokenEmbeddings) -> np.ndarray:
        scores = np.empty(len(self), np.float32)
        asked = [i for i, own in enumerate(self.members) if len(own)]
        for i, own in zip(asked, self.held.ask_each("scores", [(i, (query,)) for i in asked]), strict=True):
            scores[self.members[i]] = own
        return scores

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """Those of the document's own shard, then the merge of all."""
        shard = int(self.shard[position])
        asked = shard, (query, int(self._local(shard, np.array([position]))[0]), k)
        ((stages, tokens, notes),) = self.held.ask_each("stages", [asked], self._tuning())
        others = [i for i, own in enumerate(self.members) if len(own)]
        found = self.held.ask_each("search", [(i, (query, k, None)) for i in others], self._tuning())
        merged = merged_stages(stages, self.state.ids[position], [parts[0] for parts in found], k)
        return merged, tokens, notes

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        new, changes = shards_of(documents, self.settings.shards), {}
        for i in np.unique(new).tolist():
            mine = np.flatnonzero(new == i)
            changes[i] = ("add", ([names[p] for p in mine.tolist()], documents.select(mine)))
        record = {"dim": documents.dim, "fingerprint": self.state.fingerprint or documents.fingerprint}
        self._change(changes, self.state.ids.joined(names), np.concatenate([self.shard, new]), record)

    def _remove(self, positions: np.ndarray) -> None:
        left = np.delete(self.shard, positions)
        if len(left) == 0:
            commit_empty(self.path, self.kind, self.settings)
            return
        shards, changes = self.shard[positions], {}
        for i in np.unique(shards).tolist():
            names = self.state.ids.at(positions[shards == i])
            changes[i] = ("remove", (names,)) if len(names) < len(self.members[i]) else None
        self._change(changes, self.state.ids.without(positions), left, {})

    def _compact(self) -> None:
        changes = {i: ("compact", ()) for i, own in enumerate(self.members) if len(own)}
        if changes:
            self._change(changes, self.state.ids.compacted(), self.shard, {})

    def _change(
        self, changes: Mapping[int, tuple[str, tuple[Any, ...]] | None], ids: IdTable, shard: np.ndarray,
        record: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Write the next generation of some shards, then put it in force.

        Args:
            changes: Shard -> a method of `Index` and its arguments; None for one that holds nothing afterwards.
            ids: All ids afterwards.
            shard: int32 [documents], the shard of each.
            record: What changes in the record beside it.
        """
        before = self.state.manifest.record
        names = list(before.get("folders", [""] * self.settings.shards))
        held.clean(self.path, names)
        generation, settings, path = storage.next_generation(self.path), self._inner_settings(), self.path.absolute()
        jobs = {
            i: Job(self.inner.kind, settings, path / names[i] if names[i] else None,
                   path / f"{held.PREFIX}{i:04d}.{generation:06d}", change[0], change[1])
            for i, change in changes.items() if change is not None
        }  # fmt: skip
        try:
            self.host.change(list(jobs.values()))
            changed = {i: read_shard(job.target) for i, job in jobs.items()}
            shards = [read_shard(path / name) if name else None for name in names]
            for i in changes:
                shards[i] = changed.get(i)
                names[i] = jobs[i].target.name if i in jobs else ""
            kept = [(shard.record, _mark(shard)) if shard else ({}, 0) for shard in shards]
            counts = {what: sum(own.get(what, 0) for own, _ in kept) for what in ("tokens", "without_vectors")}
            whole = {**before, **record, **counts, "documents": len(ids), "folders": names,
                     "marks": [mark for _, mark in kept]}  # fmt: skip
            own = {"shard": shard.astype(np.int32)}
            storage.commit(self.path, f"index/{self.kind}", whole, own, ids.files(self.path))
        except BaseException:
            held.give_up(self.path, before.get("folders", ()))
            raise

    def _changed(self) -> None:
        held.clean(self.path, self.state.manifest.record.get("folders", ()))

    def _sizes(self) -> list[dict[str, Any]]:
        return self.held.ask_each("size", [(i, ()) for i, own in enumerate(self.members) if len(own)])

    @property
    def unread_bytes(self) -> int:
        """See the base class."""
        return sum(size["unread_bytes"] for size in self._sizes())

    def _verify(self, manifest: storage.Manifest) -> None:
        super()._verify(manifest)
        self.held.ask_each("verify", [(i, ()) for i, own in enumerate(self.members) if len(own)])

    def describe(self) -> dict[str, Any]:
        """See the base class; bytes count those of the shards, which are listed too."""
        described, sizes = super().describe(), self._sizes()
        size = described["bytes"] + sum(own["bytes"] for own in sizes)
        approximation = next((own["approximation"] for own in sizes if own["approximation"]), None)
        return {
            **described, "bytes": size,
            "bytes_per_token": size / described["tokens"] if described["tokens"] else 0.0,
            "shards": [{name: own[name] for name in ("documents", "tokens", "bytes")} for own in sizes],
            **({"approximation": f"Of each shard: {approximation}"} if approximation else {}),
        }  # fmt: skip


def _mark(shard: storage.Manifest) -> int:
    """CRC-32 of all that a shard's manifest says of its files, which carry checksums of their own."""
    return zlib.crc32(repr((shard.generation, sorted(shard.files.items()))).encode())


def _host(settings: Any) -> Host:
    return Processes(settings.processes) if settings.processes else Here()


@lru_cache(maxsize=64)
def _made_of(inner: type[Index]) -> type[ShardedIndex]:
    if inner is PlaidIndex:
        return ShardedIndex
    return type(
        f"Sharded{inner.__name__}", (ShardedIndex,),
        {"inner": inner, "settings_class": settings_of(inner), "can": inner.can, "packages": inner.packages,
         "search_settings": (*inner.search_settings, "processes"), "traced": inner.traced,
         "__doc__": ShardedIndex.__doc__},
    )  # fmt: skip
