"""The PLAID index as a folder of growing files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError
from engine.indexes import slots
from engine.indexes.base import ABILITIES, Index
from engine.indexes.folder import commit_empty
from engine.indexes.ids import IdTable, others
from engine.indexes.plaid import changes, opening, search, selftest
from engine.indexes.plaid.budget import Estimate, Meter, plan, timed
from engine.indexes.plaid.changes import Written, check_range
from engine.indexes.plaid.codec import TRAINED
from engine.indexes.plaid.opening import Opened
from engine.indexes.plaid.search import Layout, Stages
from engine.indexes.plaid.settings import LADDER, SEARCH_SETTINGS, PlaidSettings, for_documents
from engine.indexes.plaid.trace import describe_stages, token_trace
from engine.indexes.trace import Stage, TokenTrace
from engine.models import resolve_device
from engine.retrieval import Ranking, top_positions
from engine.simd.threads import run_parts, thread_count, use_threads

TESTED = 4  # documents that must find themselves after a change
ESTIMATED = 1 << 16  # tokens from which a build is worth an estimate beforehand


class PlaidIndex(Index):
    """Centroids, compressed residuals and inverted lists (PLAID, Santhanam et al., 2022)."""

    kind = "plaid"
    settings_class = PlaidSettings
    search_settings = SEARCH_SETTINGS
    can = frozenset(ABILITIES)
    growing = changes.KEPT
    compared: ClassVar = {}

    built: dict[str, Any] | None = None  # estimate and actual of a build by this object; times never go into files
    processes: int = 1  # that share the encoding of a build; the files do not depend on it
    device: str | None = None  # where torch searches; None for the compiled loops
    layout: Layout | None
    opened: Opened | None = None  # the same, and what it was read from
    slots: np.ndarray  # int64 [documents], the slot of each storage position, rising
    kept: dict[str, Any]  # what searches of one generation leave for the next: order of ties, copies on devices

    @classmethod
    def ladder(cls, settings: PlaidSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        return LADDER

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        layout, slots = self.layout, self.slots[positions]
        assert layout is not None
        lengths = layout.offsets[slots + 1] - layout.offsets[slots]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = np.repeat(layout.offsets[slots] - offsets[:-1], lengths) + np.arange(offsets[-1])
        values = layout.codec.decode(layout.codes[tokens], layout.packed[tokens])
        return TokenEmbeddings(values, offsets, self.state.fingerprint)

    def describe(self) -> dict[str, Any]:
        """As every index does, and how scores are approximated."""
        layout, used = self.layout, self.searching
        return {
            **super().describe(),
            "centroids": 0 if layout is None else len(layout.codec.centroids),
            "device": self.device or "cpu",
            "search": {name: getattr(used, name) for name in SEARCH_SETTINGS},
            **({"build": self.built} if self.built else {}),
            "approximation": (
                f"Vectors are stored as a centroid and a residual of {self._bits} bits a dimension. A search "
                f"probes {used.n_probe} centroids a query token, scores at most {used.n_candidates} documents by "
                f"their centroids and {used.n_full_scores} by their stored vectors; every "
                "score returned is MaxSim on the stored vectors."
            ),
        }

    @property
    def searching(self) -> PlaidSettings:
        """The settings, with numbers where the number of documents decides."""
        return for_documents(self.settings, len(self))

    @property
    def _bits(self) -> str:
        """Bits a dimension of a residual, on average."""
        return f"{self.layout.codec.bits if self.layout else self.settings.bits:.3g}"

    def _load(self) -> None:
        if self.state.dim == 0:
            self.layout, self.opened, self.slots, self.kept = None, None, np.empty(0, np.int64), {}
            return
        manifest = self.state.manifest
        self.layout, self.slots = opening.read(self.path, manifest, self.settings, len(self), self.opened)
        self.opened, self.kept = Opened(manifest, self.layout), {}

    def _array(self, name: str, mmap: bool = True) -> np.ndarray:
        return np.asarray(storage.open_array(self.path, self.state.manifest, name, mmap))

    def on(self, device: str) -> PlaidIndex:
        """The same index, searched by torch on a device; changes, traces and results are as before.

        Args:
            device: "cpu", "cuda", "cuda:1", "mps" or "auto".

        Returns:
            A second index object over the same files; its arrays are copied to the device by the first search.

        Raises:
            InputError: torch has no such device here.
        """
        other = copy(self)
        other.device = resolve_device(device)
        return other

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        if self.device is not None:
            return self._search_on_device(self.device, queries, k, subset)
        rankings: list[Ranking] = [Ranking([], np.empty(0, np.float32))] * len(queries)
        threads = thread_count()
        together = len(queries) < 2 * threads  # else every thread takes queries of its own

        def work(number: int) -> None:
            query = queries[number]
            if len(query):
                left = self.stages(query, k, subset, threads if together else 1)
                rankings[number] = self._rank(left.survivors, left.scores, left.notes, k)
            else:
                rankings[number] = self._no_words(k, subset)

        if together:
            for number in range(len(queries)):
                work(number)
        else:
            run_parts(work, len(queries))
        return rankings

    def _search_on_device(
        self, device: str, queries: TokenEmbeddings, k: int, subset: np.ndarray | None
    ) -> list[Ranking]:
        from engine.indexes.plaid.torch_search import DeviceLayout, run

        if device not in self.kept:
            assert self.layout is not None
            self.kept[device] = DeviceLayout.of(self.layout, device)
        allowed, ties, named, rankings = self._allowed(subset), self._ties(), subset is not None, []
        for query in queries:
            if len(query):
                rankings.append(self._rank(*run(self.kept[device], self.searching, query, k, allowed, ties, named), k))
            else:
                rankings.append(self._no_words(k, subset))
        return rankings

    def _allowed(self, subset: np.ndarray | None) -> np.ndarray:
        """uint8 [slots], 1 for documents that may be found."""
        layout = self.layout
        assert layout is not None
        if subset is None:
            return layout.alive
        allowed = np.zeros_like(layout.alive)
        chosen = self.slots[subset]
        allowed[chosen] = layout.alive[chosen]
        return allowed

    def _ties(self) -> np.ndarray:
        """int64 [slots], the rank of each slot's id: of equal scores at a cut the lower goes on."""
        if "ties" not in self.kept:
            assert self.layout is not None
            ties = np.zeros(len(self.layout.alive), np.int64)
            ties[self.slots] = self.state.ids.tie_order
            self.kept["ties"] = ties
        return self.kept["ties"]

    def _no_words(self, k: int, subset: np.ndarray | None) -> Ranking:
        """A query without tokens scores 0 wherever there are vectors."""
        positions = np.flatnonzero(self._allowed(subset)[self.slots])
        best = positions[top_positions(np.zeros(len(positions)), self.state.ids.tie_order[positions], k)]
        return Ranking(self.state.ids.at(best), np.zeros(len(best), np.float32))

    def stages(self, query: np.ndarray, k: int, subset: np.ndarray | None = None, threads: int = 0) -> Stages:
        """Run one query and keep what every stage left.

        Args:
            query: [m, dim] float16 or float32.
            k: How many documents are wanted.
            subset: Storage positions to search among, or None.
            threads: How many to use, 0 for all.

        Returns:
            The stages.
        """
        now = self._pinned()
        assert now.layout is not None
        allowed, ties = now._allowed(subset), now._ties()
        return search.run(now.layout, now.searching, query, k, allowed, threads, ties, named=subset is not None)

    def _stored_scores(self, query: TokenEmbeddings) -> np.ndarray:
        assert self.layout is not None
        return search.exact(self.layout, query.values, self.slots)

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace, tuple[str, ...]]:
        left, layout = self.stages(query.values, k), self.layout
        assert layout is not None
        slot = int(self.slots[position])
        stages = describe_stages(left, self.searching, self.slots, self.state.ids.tie_order, slot, k)
        return stages, token_trace(left, layout, slot), left.notes

    def _rank(self, slots: np.ndarray, scores: np.ndarray, notes: tuple[str, ...], k: int) -> Ranking:
        assert self.layout is not None
        whole = len(self.slots) == len(self.layout.alive)  # nothing was removed, so that a slot is a position
        positions = slots if whole else np.searchsorted(self.slots, slots)
        best = top_positions(scores, self.state.ids.tie_order[positions], k)
        return Ranking(self.state.ids.at(positions[best]), scores[best], notes)

    def _changed(self) -> None:
        if self.layout is not None and len(self):
            self.self_test(np.random.default_rng(self.state.manifest.generation).integers(0, len(self), TESTED))

    def self_test(self, positions: np.ndarray | None = None) -> None:
        """Let documents find themselves; a few do after every change.

        Args:
            positions: Storage positions, or None for all.

        Raises:
            CorruptDataError: a document that cannot be found, or whose score is not that of its stored vectors.
        """
        for position in range(len(self)) if positions is None else positions.tolist():
            assert self.layout is not None
            if not self.layout.alive[self.slots[position]]:
                continue  # a document without vectors is in no ranking
            slot, vectors = int(self.slots[position]), self._vectors(np.array([position]))
            query = selftest.question(vectors)
            allowed = self._allowed(np.array([position]))
            left = search.run(self.layout, self.searching, query[0], 1, allowed)  # there are no ties of one
            if not selftest.listed(self.layout, slot) or not selftest.found(left, slot, query, vectors):
                raise CorruptDataError(
                    f"Document {self.state.ids[position]!r} in {self.path} does not find itself: restore the folder or "
                    "build it again."
                )

    def estimate(self, documents: TokenEmbeddings) -> Estimate:
        """Say what building an index of these documents takes, before it starts.

        Args:
            documents: What would be added to an empty index.

        Returns:
            Disk, memory and time; only the time is measured, on a few thousand of their tokens.

        Raises:
            InputError: no documents, or a `memory_limit` too small for them.
        """
        if documents.n_tokens == 0:
            raise InputError("Expected documents with tokens, got none: there is nothing to estimate.")
        made = plan(self.settings, documents.n_tokens, len(documents), documents.dim)
        return timed(made, self.settings, documents)

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        check_range(documents.values)
        before, layout = self.state.manifest, self.layout
        ids, n = self.state.ids.joined(names), documents.n_tokens + before.record["tokens"]
        trained = before.record.get("trained", 0)
        if layout is None or trained == 0 or ("originals" in before.files and n >= 2 * trained):
            self._build(ids, documents if layout is None else self._originals(documents))
        else:
            existing = len(layout.codec.centroids)
            made = plan(self.settings, max(documents.n_tokens, 1), len(documents), documents.dim, existing)
            meter = Meter(self.progress, made, self.settings.iterations)
            with use_threads(min(made.threads, thread_count())):
                written = changes.extend(self.path, before, layout, documents, made, self.settings, meter)
            self._commit(ids, written, documents, before.files)

    def _build(self, ids: IdTable, documents: TokenEmbeddings) -> None:
        made = plan(self.settings, max(documents.n_tokens, 1), len(documents), documents.dim)
        expected = timed(made, self.settings, documents) if documents.n_tokens >= ESTIMATED else None
        start, meter = time.perf_counter(), Meter(self.progress, made, self.settings.iterations)
        with use_threads(min(made.threads, thread_count())):
            written = changes.build(self.path, documents, made, self.settings, meter, self.processes)
        self._commit(ids, written, documents, {})
        if expected is not None:
            actual = {"seconds": time.perf_counter() - start, "disk_bytes": storage.read_manifest(self.path).bytes}
            self.built = {"estimate": expected.describe(), "actual": actual}

    def _originals(self, more: TokenEmbeddings) -> TokenEmbeddings:
        """The living documents as they came, and some more."""
        assert self.layout is not None
        values, files = (
            np.empty((0, more.dim), np.float16),
            self.state.manifest.files,
        )  # nothing, where no token came yet
        if "originals" in files:
            storage.verify(self.path, self.state.manifest, ("originals", "ends"))
            values = self._array("originals")
        mine = TokenEmbeddings(values, self.layout.offsets).select(self.slots)
        values = np.concatenate([mine.values.astype(np.float32), more.values.astype(np.float32)])
        offsets = np.concatenate([mine.offsets, mine.offsets[-1] + more.offsets[1:]])
        return TokenEmbeddings(values, offsets, more.fingerprint)

    def _commit(
        self, ids: IdTable, written: Written, documents: TokenEmbeddings, files: Mapping[str, dict[str, Any]]
    ) -> None:
        """Commit what a change wrote, over the files that it left as they are."""
        before = self.state.manifest.record
        tokens = documents.n_tokens + (before["tokens"] if files else 0)
        record = {
            **before,
            **written.record,
            "dim": documents.dim,
            "fingerprint": self.state.fingerprint or documents.fingerprint,
            "documents": len(ids),
            "tokens": tokens,
            "without_vectors": int((documents.lengths == 0).sum()) + (before.get("without_vectors", 0) if files else 0),
        }
        keep = {name: entry for name, entry in others(files).items() if name not in written.arrays}
        keep |= {**written.files, **ids.files(self.path)}
        storage.commit(self.path, f"index/{self.kind}", record, written.arrays, keep)

    def _remove(self, positions: np.ndarray) -> None:
        before, layout = self.state.manifest, self.layout
        assert layout is not None
        if len(positions) == len(self):
            commit_empty(self.path, self.kind, self.settings)
            return
        lengths = np.diff(layout.offsets)[np.delete(self.slots, positions)]
        ids = self.state.ids.without(positions)
        counts = {"tokens": int(lengths.sum()), "without_vectors": int((lengths == 0).sum())}
        record = {**before.record, "documents": len(ids), **counts}
        own = {"slots": slots.write(self.path, np.delete(self.slots, positions))}
        keep = {**others(before.files), **own, **ids.files(self.path)}
        storage.commit(self.path, f"index/{self.kind}", record, {}, keep)

    def _compact(self) -> None:
        before, layout = self.state.manifest, self.layout
        if layout is None or len(self.slots) == len(layout.alive):
            return
        storage.verify(self.path, before, {"codes", "residuals", "ends", "originals"} & before.files.keys())
        originals = self._array("originals") if "originals" in before.files else None
        written = changes.compacted(self.path, layout, self.slots, originals)
        trained = {name: before.files[name] for name in TRAINED & before.files.keys()}
        keep = {**trained, **written.files, **self.state.ids.compacted().files(self.path)}
        storage.commit(self.path, f"index/{self.kind}", {**before.record, **written.record}, written.arrays, keep)
