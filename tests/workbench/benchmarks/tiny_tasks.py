"""Tasks of mteb over a handful of documents, in the format of the real ones, read from a folder by its own loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.layouts import mteb_task, write_dataset

CORPUS = [
    {"id": "d0", "title": "Tides", "text": "the moon lifts the sea"},
    {"id": "d1", "title": "", "text": "bread rises slowly in a cold kitchen"},
    {"id": "d2", "title": "Clocks", "text": "she keeps seven clocks and none of them agrees"},
    {"id": "d3", "title": "Maps", "text": "a map of rivers, bridges and ferries"},
    {"id": "d4", "title": "Boats", "text": "the harbour lights were seen from a small boat"},
    {"id": "d5", "title": "", "text": "nobody counted the steps of the tower twice"},
]
QUERIES = [
    {"id": "q0", "text": "what lifts the sea", "instruction": "find physics"},
    {"id": "q1", "text": "slow bread", "instruction": "find recipes"},
    {"id": "q2", "text": "rivers and boats", "instruction": "find travel"},
]
QRELS = [("q0", "d0", 1), ("q0", "d4", 1), ("q1", "d1", 1), ("q2", "d3", 2), ("q2", "d4", 1)]
RANKED = {"q0": ["d1", "d0", "d4"], "q1": ["d0", "d1"], "q2": ["d5", "d4", "d3"]}


def write(folder: Path, reranking: bool = False, instructions: bool = False) -> Path:
    """The data of a task as mteb keeps them on the hub."""
    queries = [{name: row[name] for name in ("id", "text")} for row in QUERIES]
    judged = [{"query-id": query, "corpus-id": name, "score": grade} for query, name, grade in QRELS]
    parts: dict[str, Any] = {"corpus": {"test": CORPUS}, "queries": {"test": queries}, "default": {"test": judged}}
    if reranking:
        ranked = [{"query-id": query, "corpus-ids": names} for query, names in RANKED.items()]
        parts["top_ranked"] = {"test": ranked}
    if instructions:
        said = [{"query-id": row["id"], "instruction": row["instruction"]} for row in QUERIES]
        parts["instruction"] = {"test": said}
    return write_dataset(folder, parts)


def task(name: str, folder: Path, kind: str = "Retrieval") -> Any:
    """A task of mteb on data in a folder."""
    return mteb_task(name, folder, kind)()
