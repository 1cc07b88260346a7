"""The PLAID index as a folder of growing files."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError
from engine.indexes.base import Index
from engine.indexes.ids import IdTable
from engine.indexes.plaid import inverted, kmeans, search
from engine.indexes.plaid.assign import nearest
from engine.indexes.plaid.codec import Codec, fit
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.search import Layout, Stages
from engine.indexes.plaid.settings import SEARCH_SETTINGS, PlaidSettings, wanted_centroids
from engine.indexes.plaid.trace import describe_stages, token_trace
from engine.indexes.trace import Stage, TokenTrace
from engine.retrieval import Ranking, top_positions
from engine.simd.threads import run_parts, thread_count

ENCODE_TOKENS = 1 << 17  # tokens encoded at once


class PlaidIndex(Index):
    """Centroids, compressed residuals and inverted lists (PLAID, Santhanam et al., 2022)."""

    kind = "plaid"
    settings_class = PlaidSettings

    layout: Layout | None
    slots: np.ndarray  # int64 [documents], the slot of each storage position

    def tuned(self, **settings: Any) -> PlaidIndex:
        """The same index with other search settings, without touching the folder.

        Args:
            settings: Among n_probe, n_candidates, centroid_threshold and n_full_scores.

        Returns:
            A second index object over the same files.

        Raises:
            InputError: a setting that is fixed with the index.
        """
        fixed = next((name for name in settings if name not in SEARCH_SETTINGS), None)
        if fixed is not None:
            raise InputError(f"{fixed!r} cannot change after the build: tune {', '.join(SEARCH_SETTINGS)}.")
        other = copy(self)
        other.settings = replace(self.settings, **settings)
        return other

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
        layout = self.layout
        return {
            **super().describe(),
            "centroids": 0 if layout is None else len(layout.codec.centroids),
            "approximation": (
                f"Vectors are stored as a centroid and a residual of {self.settings.bits} bits a dimension. A search "
                f"probes {self.settings.n_probe} centroids a query token, scores at most {self.settings.n_candidates} "
                f"documents by their centroids and {self.settings.n_full_scores} by their residuals; every score "
                "returned is MaxSim on the stored vectors."
            ),
        }

    def _load(self) -> None:
        record = self.state.manifest.record
        if record["dim"] == 0:
            self.layout, self.slots = None, np.empty(0, np.int64)
            return
        centroids, quantiser = self._array("centroids", False), self._array("quantiser", False)
        codec = Codec(self.settings.bits, centroids.astype(np.float32), quantiser[0], quantiser[1])
        offsets = np.concatenate([[0], self._array("ends", False)])
        codes, packed = self._array("codes"), self._array("residuals")
        base = Lists(self._array("list_offsets", False), self._array("list_documents"))
        self._check_layout(codec, offsets, codes, packed, base)
        listed = record["listed"]
        lists = (base, inverted.build(codes, offsets, listed, len(centroids))) if listed < len(offsets) - 1 else (base,)
        self.slots = self._array("slots", False).astype(np.int64)
        alive = np.zeros(len(offsets) - 1, np.uint8)
        alive[self.slots] = 1
        self.layout = Layout(codec, offsets, codes, packed, lists, alive)

    def _array(self, name: str, mmap: bool = True) -> np.ndarray:
        return np.asarray(storage.open_array(self.path, self.state.manifest, name, mmap))

    def _check_layout(
        self, codec: Codec, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray, lists: Lists
    ) -> None:
        """The kernels index without bounds checks, so damage that would lead them astray is found here."""
        sound = (
            len(codes) == len(packed) == offsets[-1]
            and (np.diff(offsets) > 0).all()
            and (len(codes) == 0 or codes.max() < len(codec.centroids))
            and len(lists.offsets) <= len(codec.centroids) + 1
            and (np.diff(lists.offsets) >= 0).all()
            and lists.offsets[0] == 0
            and lists.offsets[-1] == len(lists.documents)
            and (len(lists.documents) == 0 or 0 <= lists.documents.min() <= lists.documents.max() < len(offsets) - 1)
        )
        if not sound:
            raise CorruptDataError(f"{self.path} holds arrays that do not fit together: restore it or build it again.")

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        rankings: list[Ranking] = [Ranking([], np.empty(0, np.float32))] * len(queries)
        threads = thread_count()
        together = len(queries) < 2 * threads  # else every thread takes queries of its own

        def work(number: int) -> None:
            query = queries[number]
            if len(query):
                rankings[number] = self._rank(self.stages(query, k, subset, threads if together else 1), k)
            else:
                rankings[number] = self._no_words(k, subset)

        if together:
            for number in range(len(queries)):
                work(number)
        else:
            run_parts(work, len(queries))
        return rankings

    def _no_words(self, k: int, subset: np.ndarray | None) -> Ranking:
        """A query without tokens scores 0 everywhere."""
        positions = np.arange(len(self)) if subset is None else subset
        best = positions[top_positions(np.zeros(len(positions)), self.state.ids.tie_order[positions], k)]
        return Ranking([self.state.ids[int(i)] for i in best], np.zeros(len(best), np.float32))

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
        layout = self.layout
        assert layout is not None
        allowed = layout.alive
        if subset is not None:
            allowed = np.zeros_like(layout.alive)
            allowed[self.slots[subset]] = 1
        return search.run(layout, self.settings, query, k, allowed, threads)

    def _stored_scores(self, query: TokenEmbeddings) -> np.ndarray:
        assert self.layout is not None
        return search.exact(self.layout, query.values, self.slots)

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace, tuple[str, ...]]:
        left, layout = self.stages(query.values, k), self.layout
        assert layout is not None
        stages = describe_stages(
            left, self.settings, self.slots, self.state.ids.tie_order, int(self.slots[position]), k
        )
        return stages, token_trace(left, layout, int(self.slots[position])), left.notes

    def _rank(self, stages: Stages, k: int) -> Ranking:
        positions = np.searchsorted(self.slots, stages.rescored)
        best = top_positions(stages.scores, self.state.ids.tie_order[positions], k)
        return Ranking([self.state.ids[int(i)] for i in positions[best]], stages.scores[best], stages.notes)

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        codec = self._trained(documents) if self.layout is None else self.layout.codec
        codes = nearest(documents.values, codec.centroids)[0].astype(codec.code_dtype)
        packed = np.concatenate(
            [
                codec.encode(documents.values[start : start + ENCODE_TOKENS], codes[start : start + ENCODE_TOKENS])
                for start in range(0, len(codes), ENCODE_TOKENS)
            ]
        )
        self._append(names, documents, codec, codes, packed)

    def _trained(self, documents: TokenEmbeddings) -> Codec:
        n_centroids = wanted_centroids(self.settings, documents.n_tokens)
        rng = np.random.default_rng(self.settings.seed)
        n_sample = min(documents.n_tokens, kmeans.SAMPLE_PER_CENTROID * n_centroids)
        chosen = np.sort(rng.choice(documents.n_tokens, n_sample, replace=False))
        sample = documents.values[chosen].astype(np.float32)
        centroids = kmeans.train(sample, n_centroids, self.settings.iterations, self.settings.seed)
        return fit(sample, nearest(sample, centroids)[0], centroids, self.settings.bits)

    def _append(
        self, names: list[str], documents: TokenEmbeddings, codec: Codec, codes: np.ndarray, packed: np.ndarray
    ) -> None:
        before, layout = self.state.manifest, self.layout
        generation = storage.next_generation(self.path)
        first = 0 if layout is None else len(layout.alive)
        start = 0 if layout is None else int(layout.offsets[-1])
        rows = {
            "codes": codes,
            "residuals": packed,
            "ends": start + documents.offsets[1:],
            "slots": np.arange(first, first + len(names), dtype=np.int32),
        }
        keep = {
            name: storage.append_rows(
                self.path,
                before.files.get(name) or storage.grow_entry(name, generation, array.dtype, array.shape[1:]),
                array,
            )
            for name, array in rows.items()
        }
        arrays = dict(self.state.ids.joined(names).arrays())
        if layout is None:
            lists = inverted.build(codes, documents.offsets, 0, len(codec.centroids))
            arrays |= {"list_offsets": lists.offsets, "list_documents": lists.documents}
            arrays |= {
                "centroids": codec.centroids.astype(np.float16),
                "quantiser": np.stack([codec.lower, codec.step]),
            }
        else:
            keep |= {name: before.files[name] for name in ("centroids", "quantiser", "list_offsets", "list_documents")}
        record = {
            **before.record,
            "dim": documents.dim,
            "fingerprint": self.state.fingerprint or documents.fingerprint,
            "documents": len(self) + len(names),
            "tokens": before.record["tokens"] + documents.n_tokens,
            "listed": before.record.get("listed", len(names)),
        }
        storage.commit(self.path, f"index/{self.kind}", record, arrays, keep)

    def _remove(self, positions: np.ndarray) -> None:
        before, layout = self.state.manifest, self.layout
        assert layout is not None
        if len(positions) == len(self):
            empty = IdTable.from_list([])
            record = {"settings": asdict(self.settings), "dim": 0, "fingerprint": None, "documents": 0, "tokens": 0}
            storage.commit(self.path, f"index/{self.kind}", record, empty.arrays())
            return
        gone = self.slots[positions]
        tokens = int((layout.offsets[gone + 1] - layout.offsets[gone]).sum())
        generation = storage.next_generation(self.path)
        slots = np.delete(self.slots, positions).astype(np.int32)
        entry = storage.append_rows(self.path, storage.grow_entry("slots", generation, slots.dtype), slots)
        kept = {name: file for name, file in before.files.items() if name not in ("ids", "id_offsets")}
        record = {
            **before.record,
            "documents": len(self) - len(positions),
            "tokens": before.record["tokens"] - tokens,
        }
        arrays = self.state.ids.without(positions).arrays()
        storage.commit(self.path, f"index/{self.kind}", record, arrays, {**kept, "slots": entry})
