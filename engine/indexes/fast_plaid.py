"""fast-plaid, a PLAID in Rust on libtorch, behind our contract; an extra, since each of its wheels needs one torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError, UnsupportedError
from engine.indexes.base import ABILITIES, Settings, require_positive
from engine.indexes.foreign import ForeignIndex, check_package, signature_defaults
from engine.retrieval import Ranking


@dataclass(frozen=True)
class FastPlaidSettings(Settings):
    """Settings of fast-plaid, with its own defaults.

    Args:
        nbits: Bits a dimension of a residual.
        kmeans_niters: Rounds of k-means.
        max_points_per_centroid: Sampled tokens a centroid in k-means.
        n_ivf_probe: Lists probed for each query token.
        n_full_scores: Documents that are decompressed and scored.
        seed: Decides the sample that k-means sees, and where it starts.
        device: "cpu" or "cuda".
    """

    nbits: int = 4
    kmeans_niters: int = 4
    max_points_per_centroid: int = 256
    n_ivf_probe: int = 8
    n_full_scores: int = 4096
    seed: int = 42
    device: str = "cpu"

    def __post_init__(self) -> None:
        require_positive(self, "nbits", "kmeans_niters", "max_points_per_centroid", "n_ivf_probe", "n_full_scores")
        require_positive(self, "seed", least=0)
        if self.nbits not in (1, 2, 4, 8):
            raise InputError(f"Expected nbits of 1, 2, 4 or 8, got {self.nbits}: choose one.")
        if self.device != "cpu" and not self.device.startswith("cuda"):
            raise InputError(f"Expected device cpu or cuda, got {self.device!r}: choose one.")


class FastPlaidIndex(ForeignIndex):
    """Centroids, residual codes and inverted lists (Santhanam and others, arXiv 2205.09707), as fast-plaid does it."""

    kind = "fast-plaid"
    alters_files = True
    settings_class = FastPlaidSettings
    search_settings = ("n_ivf_probe", "n_full_scores")
    packages = ("fast-plaid",)
    compared: ClassVar = {}
    can = frozenset(ABILITIES) - {"exact-scores", "deterministic", "snapshots", "empty-documents"}

    @classmethod
    def check_installed(cls) -> None:
        """Check the package and its torch."""
        check_package("fast-plaid", "fast-plaid")

    @classmethod
    def ladder(cls, settings: FastPlaidSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        rungs = ((1, 128), (2, 256), (4, 512), (8, 1024), (8, 4096), (32, 8192))
        return tuple({"n_ivf_probe": probe, "n_full_scores": full} for probe, full in rungs)

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """What fast-plaid takes when it is told nothing."""
        from fast_plaid.search import FastPlaid

        return signature_defaults("FastPlaid", FastPlaid, "create", "search")

    def _open_native(self, folder: Path | None) -> Any:
        from fast_plaid.search import FastPlaid

        return FastPlaid(str(folder), device=self.settings.device)

    @staticmethod
    def _close_native(native: Any) -> None:
        native.close()

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        settings = self.settings
        if documents.dim % 8:
            raise InputError(
                f"Expected a dimension that is a multiple of 8, as fast-plaid packs it, got {documents.dim}: choose "
                "another kind, or a model with such a dimension."
            )
        options: dict[str, Any] = {
            "kmeans_niters": settings.kmeans_niters,
            "max_points_per_centroid": settings.max_points_per_centroid,
            "seed": settings.seed,
            "start_from_scratch": 0,  # otherwise it keeps a pickle of every vector to build small indexes again
        }

        def change(folder: Path) -> None:
            native = self._open_native(folder)
            if len(self):
                # A buffer of 1 adds centroids for far tokens at once, instead of pickling them until there are 100.
                native.update(_tensors(documents), buffer_size=1, **options)
            else:
                self._create_native(native, documents, options)
            native.close()

        lengths = np.concatenate([self.lengths, documents.lengths])
        self._commit(self.state.ids.joined(names), lengths, documents, change)

    def _create_native(self, native: Any, documents: TokenEmbeddings, options: dict[str, Any]) -> None:
        try:
            native.create(_tensors(documents), nbits=self.settings.nbits, **options)
        except RuntimeError as error:
            if "heldout" not in str(error):
                raise
            raise UnsupportedError(
                f"fast-plaid trains on documents held out, which {len(documents)} documents do not leave: add more at "
                "once, or choose another kind."
            ) from None

    def _remove(self, positions: np.ndarray) -> None:
        def change(folder: Path) -> None:
            native = self._open_native(folder)
            native.delete(positions.tolist())
            native.close()

        self._commit(self.state.ids.without(positions), self.lengths[self._keep_mask(positions)], None, change)

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        items = [item.float().cpu().numpy() for item in self.native.get_embeddings(positions.tolist())]
        return TokenEmbeddings.from_list(items, self.state.fingerprint, self.state.dim)

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        wanted = min(k, len(self) if subset is None else len(subset))
        found = self._ask(queries, wanted, self.settings.n_ivf_probe, subset)
        return [
            self._widened(queries.select([number]), wanted, subset, results) for number, results in enumerate(found)
        ]

    def _widened(
        self, query: TokenEmbeddings, wanted: int, subset: np.ndarray | None, results: list[tuple[int, float]]
    ) -> Ranking:
        """Probe more lists while fewer documents come back than there are."""
        probes, notes = self.settings.n_ivf_probe, ()
        lists = len(np.load(self._path() / "centroids.npy", mmap_mode="r")) if len(results) < wanted else 0
        while len(results) < wanted and probes < lists:
            probes = min(probes * 4, lists)
            results = self._ask(query, wanted, probes, subset)[0]
            notes = (f"widened to {probes} lists to find {wanted} documents",)
        positions = np.array([position for position, _ in results], np.int64)
        return self._ranking(positions, np.array([score for _, score in results], np.float32), wanted, notes)

    def _path(self) -> Path:
        folder = self._folder()
        assert folder is not None
        return folder

    def _ask(
        self, queries: TokenEmbeddings, k: int, probes: int, subset: np.ndarray | None
    ) -> list[list[tuple[int, float]]]:
        return self.native.search(
            _tensors(queries),
            top_k=k,
            n_full_scores=max(self.settings.n_full_scores, k),
            n_ivf_probe=probes,
            show_progress=False,
            subset=None if subset is None else [subset.tolist()] * len(queries),
        )


def _tensors(embeddings: TokenEmbeddings) -> list[Any]:
    """One float16 torch tensor an item, as fast-plaid computes."""
    import torch

    return list(torch.from_numpy(embeddings.astype("float16").values).split(embeddings.lengths.tolist()))
