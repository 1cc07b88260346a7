"""LanceDB's multivector search (IVF-PQ over token vectors) behind our contract; an extra."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.checks import ABILITIES, Settings, require_positive
from engine.indexes.foreign import NumberedIndex, check_package, signature_defaults
from engine.retrieval import Ranking

TABLE, NUMBER, VECTORS = "documents", "number", "vectors"
TRAINABLE = 256  # token vectors below which product quantisation cannot be trained: LanceDB then scores every document
ROUNDING = 0.01  # how far the length of a vector may be from 1: float16 and bfloat16 models round


@dataclass(frozen=True)
class LanceSettings(Settings):
    """Settings of LanceDB, with its own defaults.

    Args:
        partitions: Lists of the inverted file; 0 leaves the choice to LanceDB (about the square root of the rows).
        sub_vectors: Codes a vector in product quantisation; 0 leaves the choice to LanceDB (dimension / 16).
        bits: Bits of a code, 4 or 8.
        max_iterations: Rounds of k-means.
        sample_rate: Sampled vectors a partition in k-means.
        nprobes: Partitions searched for each query token.
        refine: Documents that are scored again on the vectors themselves, as a multiple of k; 0 ranks by the codes.
    """

    partitions: int = 0
    sub_vectors: int = 0
    bits: int = 8
    max_iterations: int = 50
    sample_rate: int = 256
    nprobes: int = 20
    refine: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "max_iterations", "sample_rate", "nprobes")
        require_positive(self, "partitions", "sub_vectors", "refine", least=0)
        if self.bits not in (4, 8):
            raise InputError(f"Expected bits of 4 or 8, got {self.bits}: choose one.")


class LanceIndex(NumberedIndex):
    """Inverted file and product quantisation over token vectors; a document's missing similarities are estimated.

    LanceDB compares multivectors by cosine only, so vectors must have length 1, where cosine and dot product agree.
    """

    kind = "lancedb"
    settings_class = LanceSettings
    search_settings = ("nprobes", "refine")
    packages = ("lancedb",)
    can = frozenset(ABILITIES) - {"deterministic", "empty-documents"}

    @classmethod
    def check_installed(cls) -> None:
        """Check the package."""
        check_package("lancedb", "lancedb")

    @classmethod
    def ladder(cls, settings: LanceSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        rungs = ((20, 2), (20, 5), (50, 5), (50, 10), (100, 20), (400, 40))
        return tuple({"nprobes": probes, "refine": refine} for probes, refine in rungs)

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """What LanceDB takes when it is told nothing."""
        from lancedb.index import IvfPq

        return signature_defaults("lancedb.IvfPq", IvfPq, "__init__")

    @classmethod
    def able(cls, settings: LanceSettings) -> frozenset[str]:
        """Scores on the codes are no MaxSim; those that are refined are."""
        return cls.can if settings.refine else cls.can - {"exact-scores"}

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        _check_lengths(documents)
        super()._add(names, documents)

    def _open_native(self, folder: Path | None) -> Any:
        import lancedb

        base = lancedb.connect(str(folder))
        return base.open_table(TABLE) if (folder is not None and (folder / f"{TABLE}.lance").is_dir()) else base

    def _insert(self, folder: Path, numbers: np.ndarray, documents: TokenEmbeddings) -> None:
        native, rows = self._open_native(folder), _rows(numbers, documents)
        if len(self) == 0:
            native = native.create_table(TABLE, rows)
        else:
            native.add(rows)
        if int(self.lengths.sum()) + documents.n_tokens >= TRAINABLE:
            self._build(native)

    def _build(self, table: Any) -> None:
        """Train the index again over all rows: vectors added later would stay outside of it."""
        from lancedb.index import IvfPq

        settings = self.settings
        config = IvfPq(
            distance_type="cosine",
            num_partitions=settings.partitions or None,
            num_sub_vectors=settings.sub_vectors or None,
            num_bits=settings.bits,
            max_iterations=settings.max_iterations,
            sample_rate=settings.sample_rate,
        )
        table.create_index(VECTORS, config=config, replace=True)
        _drop_old_versions(table)

    def _delete(self, folder: Path, numbers: np.ndarray) -> None:
        native = self._open_native(folder)
        native.delete(f"{NUMBER} IN ({', '.join(map(str, numbers.tolist()))})")
        _drop_old_versions(native)

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        wanted = self.numbers[positions]
        distinct = np.unique(wanted)
        listed = ", ".join(map(str, distinct.tolist()))
        rows = self.native.search().where(f"{NUMBER} IN ({listed})").limit(len(distinct)).to_arrow().combine_chunks()
        column = rows[VECTORS].combine_chunks()
        offsets = np.asarray(column.offsets).astype(np.int64)
        values = np.asarray(column.flatten().flatten(), np.float32).reshape(-1, self.state.dim)
        found = TokenEmbeddings(values, offsets - offsets[0], self.state.fingerprint)
        order = np.argsort(np.asarray(rows[NUMBER].combine_chunks()))
        return found.select(order[np.searchsorted(distinct, wanted)])

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        _check_lengths(queries)
        allowed = None if subset is None else self.numbers[subset]
        wanted = min(k, len(self) if allowed is None else len(allowed))
        return [self._search_one(queries[number], wanted, allowed) for number in range(len(queries))]

    def _search_one(self, query: np.ndarray, k: int, allowed: np.ndarray | None) -> Ranking:
        if len(query) == 0:
            return self._nothing_asked(k, allowed)
        rows, notes = self._ask(query, k, allowed, exhaustive=False), ()
        if len(rows) < k:
            rows = self._ask(query, k, allowed, exhaustive=True)
            notes = (f"every document was scored: the index gave fewer than {k}",)
        return self._found(rows[NUMBER], len(query) - rows["_distance"].to_numpy(), k, notes)

    def _ask(self, query: np.ndarray, k: int, allowed: np.ndarray | None, exhaustive: bool) -> Any:
        vectors = np.ascontiguousarray(query, np.float32)
        search = self.native.search(vectors, vector_column_name=VECTORS).distance_type("cosine")
        search = search.select([NUMBER, "_distance"]).limit(k)
        if allowed is not None:
            search = search.where(f"{NUMBER} IN ({', '.join(map(str, allowed.tolist()))})", prefilter=True)
        if exhaustive:
            return search.bypass_vector_index().to_arrow()
        search = search.nprobes(self.settings.nprobes)
        if self.settings.refine:
            search = search.refine_factor(self.settings.refine)
        return search.to_arrow()


def _check_lengths(vectors: TokenEmbeddings) -> None:
    lengths = np.linalg.norm(vectors.values.astype(np.float32), axis=1)
    if len(lengths) and np.abs(lengths - 1).max() > ROUNDING:
        raise InputError(
            f"Expected vectors of length 1, since LanceDB compares by cosine only, got one of length "
            f"{lengths[np.abs(lengths - 1).argmax()]:.3g}: normalise them, or choose another kind."
        )


def _rows(numbers: np.ndarray, documents: TokenEmbeddings) -> Any:
    """An Arrow table of numbers and of lists of vectors, without a copy of each vector."""
    import pyarrow as pa

    values = np.ascontiguousarray(documents.values, np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), documents.dim)
    nested = pa.ListArray.from_arrays(pa.array(documents.offsets.astype(np.int32)), flat)
    return pa.table({NUMBER: pa.array(numbers), VECTORS: nested})


def _drop_old_versions(table: Any) -> None:
    """Our folders are generations already: what LanceDB keeps of its own earlier ones would only take room."""
    import warnings
    from datetime import timedelta

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of other readers of this table: there are none before its rename
        table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
