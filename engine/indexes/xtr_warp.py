"""xtr-warp-rs (WARP: centroids, residual codes, imputed similarities) behind our contract; an extra."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError, UnsupportedError
from engine.indexes.checks import ABILITIES, Settings, require_positive
from engine.indexes.foreign import NumberedIndex, check_package, signature_defaults
from engine.retrieval import Ranking

LEAST = 3  # documents of a first build: from fewer it takes an empty sample to train on, and panics


@dataclass(frozen=True)
class XtrWarpSettings(Settings):
    """Settings of xtr-warp-rs, with its own defaults.

    Args:
        nbits: Bits a dimension of a residual, 2 or 4.
        kmeans_niters: Rounds of k-means.
        max_points_per_centroid: Sampled tokens a centroid in k-means.
        nprobe: Centroids probed for each query token; 0 leaves it to the library, which looks at the index and at k.
        t_prime: Token vectors after which the missing similarity is estimated; 0 leaves it to the library.
        max_candidates: Documents that are scored; 0 leaves it to the library.
        threads: How many one search uses; 0 takes as many as torch uses.
        seed: Decides the sample that k-means sees, and where it starts.
    """

    nbits: int = 4
    kmeans_niters: int = 4
    max_points_per_centroid: int = 256
    nprobe: int = 0
    t_prime: int = 0
    max_candidates: int = 0
    threads: int = 1
    seed: int = 42

    def __post_init__(self) -> None:
        require_positive(self, "nbits", "kmeans_niters", "max_points_per_centroid")
        require_positive(self, "nprobe", "t_prime", "max_candidates", "threads", "seed", least=0)
        if self.nbits not in (2, 4):
            raise InputError(f"Expected nbits of 2 or 4, got {self.nbits}: choose one.")


class XtrWarpIndex(NumberedIndex):
    """WARP (Scheerer and others, arXiv 2501.17788): scores from probed clusters only, the rest imputed."""

    kind = "xtr-warp"
    thread: int  # whose searches the library answers; in any other it panics
    settings_class = XtrWarpSettings
    search_settings = ("nprobe", "t_prime", "max_candidates", "threads")
    packages = ("xtr-warp-rs",)
    can = frozenset(ABILITIES) - {"exact-scores", "deterministic", "stored", "snapshots", "empty-documents"}

    @classmethod
    def check_installed(cls) -> None:
        """Check the package and its torch."""
        check_package("xtr-warp-rs", "xtr-warp")

    @classmethod
    def ladder(cls, settings: XtrWarpSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        rungs = ((4, 5_000), (8, 10_000), (16, 20_000), (32, 50_000), (64, 100_000), (128, 200_000))
        return tuple({"nprobe": probe, "t_prime": t_prime} for probe, t_prime in rungs)

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """What xtr-warp-rs takes when it is told nothing."""
        return signature_defaults("XTRWarp", _library(), "create", "search")

    def _open_native(self, folder: Path | None) -> Any:
        native = _library()(str(folder), device="cpu")
        return native.load(device="cpu") if folder is not None and (folder / "metadata.json").exists() else native

    @staticmethod
    def _close_native(native: Any) -> None:
        native.free()

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        if len(self) == 0 and len(documents) < LEAST:
            raise UnsupportedError(
                f"xtr-warp-rs trains on documents held out, which {len(documents)} documents do not leave: add {LEAST} "
                "or more at once, or choose another kind."
            )
        super()._add(names, documents)

    def _insert(self, folder: Path, numbers: np.ndarray, documents: TokenEmbeddings) -> None:
        settings, native = self.settings, _library()(str(folder), device="cpu")
        if len(self) == 0:
            native.create(
                _tensors(documents), device="cpu", nbits=settings.nbits, kmeans_niters=settings.kmeans_niters,
                max_points_per_centroid=settings.max_points_per_centroid, seed=settings.seed, show_progress=False,
            )  # fmt: skip
            return
        given = native.add(
            _tensors(documents), reload=False, show_progress=False,
            max_points_per_centroid=settings.max_points_per_centroid,
        )  # fmt: skip
        assert list(given) == numbers.tolist(), "xtr-warp-rs numbers documents in the order in which they are added"

    def _delete(self, folder: Path, numbers: np.ndarray) -> None:
        _library()(str(folder), device="cpu").delete(numbers.tolist())

    def _load(self) -> None:
        super()._load()
        self.thread = get_ident()

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        if get_ident() != self.thread:
            raise UnsupportedError(
                "xtr-warp-rs answers only the thread that opened or last changed the index: open it again in this one."
            )
        allowed = None if subset is None else self.numbers[subset]
        wanted = min(k, len(self) if allowed is None else len(allowed))
        # One at a time: a batch is padded with zero vectors, which are probed and scored like tokens.
        return [self._search_one(queries.select([number]), wanted, allowed) for number in range(len(queries))]

    def _search_one(self, query: TokenEmbeddings, k: int, allowed: np.ndarray | None) -> Ranking:
        if query.n_tokens == 0:
            return self._nothing_asked(k, allowed)
        settings = self.settings
        found, notes = self._ask(query, k, allowed, settings.nprobe, settings.max_candidates), ()
        if len(found) < k:
            every = int(self.native._metadata["num_centroids"])
            found = self._ask(query, k, allowed, every, int(self.lengths.sum()))
            notes = (f"every centroid was probed to find {k} documents",)
        return self._found([number for number, _ in found], [score for _, score in found], k, notes)

    def _ask(
        self, query: TokenEmbeddings, k: int, allowed: np.ndarray | None, nprobe: int, candidates: int
    ) -> list[tuple[int, float]]:
        import torch

        threads = self.settings.threads or torch.get_num_threads()
        return self.native.search(
            _tensors(query), top_k=k, num_threads=threads, nprobe=nprobe or None,
            bound=8 * nprobe or None,  # of its own rule: eight centroids are scored for each that is probed
            t_prime=self.settings.t_prime or None, max_candidates=candidates or None,
            subset=None if allowed is None else allowed.tolist(),
            show_progress=False,
        )[0]  # fmt: skip


def _library() -> Any:
    """The class of the library, without the logging that its import sets up for the whole process."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    from xtr_warp import XTRWarp

    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    logging.getLogger("xtr_warp").setLevel(logging.ERROR)
    return XTRWarp


def _tensors(embeddings: TokenEmbeddings) -> list[Any]:
    """One float32 torch tensor an item."""
    import torch

    return list(torch.from_numpy(embeddings.values.astype(np.float32)).split(embeddings.lengths.tolist()))
