"""Figures that others have published, beside which ours are shown: nDCG@10 of a task, each with where it stands.

Only figures that could be read at their source are here; what is missing was not found there.
"""

from __future__ import annotations

from dataclasses import dataclass

MTEB = "https://github.com/embeddings-benchmark/results/tree/main/results/"


@dataclass(frozen=True)
class Published:
    """Figures of one model.

    Args:
        model: Its name on the hub.
        source: Where they can be read.
        benchmark: Which one they are of.
        values: Task -> nDCG@10, between 0 and 1.
    """

    model: str
    source: str
    benchmark: str
    values: dict[str, float]


PUBLISHED = (
    Published(
        "lightonai/GTE-ModernColBERT-v1", f"{MTEB}lightonai__GTE-ModernColBERT-v1", "beir",
        {"scifact": 0.76333, "nfcorpus": 0.37831, "fiqa": 0.45247, "arguana": 0.47520, "scidocs": 0.19219,
         "trec-covid": 0.84835, "webis-touche2020": 0.31246, "nq": 0.61619, "hotpotqa": 0.77477,
         "dbpedia-entity": 0.47562, "quora": 0.86711, "fever": 0.87666, "climate-fever": 0.31326},
    ),
    Published(
        "lightonai/GTE-ModernColBERT-v1", f"{MTEB}lightonai__GTE-ModernColBERT-v1", "longembed",
        {"narrativeqa": 0.76895, "qmsum": 0.79928, "summ_screen_fd": 0.97059, "2wikimqa": 0.99877},
    ),
    Published(
        "answerdotai/answerai-colbert-small-v1",
        "https://huggingface.co/answerdotai/answerai-colbert-small-v1/commit/f48715ef53c0e6cd21cb705e84a5371ebd73083e",
        "beir",
        {"fiqa": 0.4115, "hotpotqa": 0.7611, "msmarco": 0.435, "nq": 0.591, "trec-covid": 0.8459, "arguana": 0.5009,
         "climate-fever": 0.3307, "dbpedia-entity": 0.4558, "fever": 0.9096, "nfcorpus": 0.373, "quora": 0.8772},
    ),
    Published("colbert-ir/colbertv2.0", f"{MTEB}colbert-ir__colbertv2.0", "beir", {"scidocs": 0.15615}),
)  # fmt: skip


def published(benchmark: str, tasks: tuple[str, ...]) -> list[Published]:
    """Models that have a figure of one of some tasks.

    Args:
        benchmark: Its name.
        tasks: As the benchmark names them.

    Returns:
        One entry a model, in a fixed order.
    """
    return [entry for entry in PUBLISHED if entry.benchmark == benchmark and entry.values.keys() & set(tasks)]
