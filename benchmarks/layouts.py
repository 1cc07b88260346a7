"""Collections written in the layouts of public benchmarks, for tests and for pages that show a run end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Collection
from engine.reading.benchmarks import NANO

if TYPE_CHECKING:
    from PIL.Image import Image

Rows = Sequence[Mapping[str, Any]]


def write_dataset(folder: Path, parts: Mapping[str, Mapping[str, Rows]], lines: bool = False) -> Path:
    """A dataset as the hub lays it out: configuration -> split -> rows, and a card that names the files.

    Args:
        folder: Where it goes.
        parts: Rows of each split of each configuration.
        lines: Whether the files are JSON lines, whose splits need not have the same columns, instead of Parquet.

    Returns:
        The folder.
    """
    import pyarrow as pa
    import yaml
    from pyarrow import parquet

    configs = []
    for name, splits in parts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        files = []
        for split, rows in splits.items():
            path = f"{name}/{split}.jsonl" if lines else f"{name}/{split}-00000-of-00001.parquet"
            if lines:
                (folder / path).write_text("".join(json.dumps(dict(row)) + "\n" for row in rows))
            else:
                parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), folder / path)
            files.append({"split": split, "path": path})
        configs.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs}, sort_keys=False)}---\n")
    return folder


def _texts(texts: Mapping[str, str], key: str = "_id", text: str = "text") -> list[dict[str, str]]:
    return [{key: name, text: value} for name, value in texts.items()]


def _judged(collection: Collection, names: tuple[str, str, str]) -> list[dict[str, Any]]:
    query, document, grade = names
    return [
        {query: asked, document: name, grade: value}
        for asked, grades in collection.qrels.items()
        for name, value in grades.items()
    ]


def nanobeir(folder: Path, tasks: Mapping[str, Collection]) -> Path:
    """NanoBEIR: configurations corpus, queries and qrels with a split a task; judgements have no grades."""
    parts: dict[str, dict[str, Rows]] = {"corpus": {}, "queries": {}, "qrels": {}}
    for task, collection in tasks.items():
        parts["corpus"][NANO[task]] = _texts(collection.documents)
        parts["queries"][NANO[task]] = _texts(collection.queries)
        judged = _judged(collection, ("query-id", "corpus-id", "score"))
        parts["qrels"][NANO[task]] = [
            {name: row[name] for name in ("query-id", "corpus-id")} for row in judged if row["score"] > 0
        ]
    return write_dataset(folder, parts)


def beir(folder: Path, tasks: Mapping[str, Collection], split: str = "test") -> Path:
    """BEIR as mteb keeps it on the hub: a dataset a task, configurations corpus, queries and default."""
    for task, collection in tasks.items():
        judged = _judged(collection, ("query-id", "corpus-id", "score"))
        corpus = [{"_id": name, "title": "", "text": text} for name, text in collection.documents.items()]
        parts = {"corpus": {"corpus": corpus}, "queries": {"queries": _texts(collection.queries)}}
        write_dataset(folder / task, {**parts, "default": {split: judged}})
    return folder


def beir_zip(folder: Path, tasks: Mapping[str, Collection], split: str = "test") -> Path:
    """BEIR as its zips unpack: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv in a folder a task."""
    for task, collection in tasks.items():
        (folder / task / "qrels").mkdir(parents=True)
        for name, texts in (("corpus", collection.documents), ("queries", collection.queries)):
            lines = "".join(json.dumps(row) + "\n" for row in _texts(texts))
            (folder / task / f"{name}.jsonl").write_text(lines)
        judged = _judged(collection, ("query-id", "corpus-id", "score"))
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row.values())) for row in judged)]
        (folder / task / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def bright(
    folder: Path, tasks: Mapping[str, Collection], excluded: Mapping[str, Sequence[str]] | None = None,
    long: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """BRIGHT: examples and documents with a split a domain; long documents hold several of the short ones.

    Args:
        folder: Where it goes.
        tasks: Domain -> collection.
        excluded: Query -> documents that it excludes.
        long: Document -> the long document that it is part of; each is one of its own when None.
    """
    parts: dict[str, dict[str, Rows]] = {"examples": {}, "documents": {}, "long_documents": {}}
    left_out = excluded or {}
    for domain, collection in tasks.items():
        whole = long or {name: f"{name}.long" for name in collection.documents}
        right = {query: [name for name, grade in collection.qrels.get(query, {}).items() if grade > 0]
                 for query in collection.queries}  # fmt: skip
        parts["examples"][domain] = [
            {"id": query, "query": text, "reasoning": "", "excluded_ids": list(left_out.get(query, ["N/A"])),
             "gold_ids": right[query], "gold_ids_long": list(dict.fromkeys(whole[name] for name in right[query])),
             "gold_answer": ""}
            for query, text in collection.queries.items()
        ]  # fmt: skip
        parts["documents"][domain] = _texts(collection.documents, "id", "content")
        joined: dict[str, str] = {}
        for name, text in collection.documents.items():
            joined[whole[name]] = f"{joined.get(whole[name], '')}\n{text}".strip()
        parts["long_documents"][domain] = _texts(joined, "id", "content")
    return write_dataset(folder, parts)


def longembed(folder: Path, tasks: Mapping[str, Collection], lengths: Sequence[int] = (256, 512)) -> Path:
    """LongEmbed: a configuration a task with corpus, queries and qrels; passkey and needle come in several lengths.

    A document of length n is its text, repeated to n words.
    """
    parts: dict[str, dict[str, Rows]] = {}
    for task, collection in tasks.items():
        several = task in ("passkey", "needle")
        corpus: list[dict[str, Any]] = []
        queries: list[dict[str, Any]] = []
        judged: list[dict[str, Any]] = []
        for length in lengths if several else (0,):
            mark = f"-{length}" if several else ""
            extra = {"context_length": length} if several else {}
            corpus += [{"doc_id": f"{name}{mark}", "text": _long(text, length), **extra}
                       for name, text in collection.documents.items()]  # fmt: skip
            queries += [{"qid": f"{name}{mark}", "text": text, **extra} for name, text in collection.queries.items()]
            judged += [{"qid": f"{row['q']}{mark}", "doc_id": f"{row['d']}{mark}", **extra}
                       for row in _judged(collection, ("q", "d", "s")) if row["s"] > 0]  # fmt: skip
        parts[task] = {"corpus": corpus, "queries": queries, "qrels": judged}
    return write_dataset(folder, parts, lines=True)


def _long(text: str, words: int) -> str:
    own = text.split()
    return " ".join((own * (words // max(len(own), 1) + 1))[:words]) if words > len(own) else text


def vidore(folder: Path, tasks: Mapping[str, tuple[Mapping[int, Image], Mapping[int, str], Rows]]) -> Path:
    """ViDoRe: a dataset a task, pages as pictures under numbers, and judgements of them.

    Args:
        folder: Where it goes.
        tasks: Task -> pages, queries, and rows with query-id, corpus-id and score.
    """
    import io

    for task, (pages, queries, judged) in tasks.items():
        corpus = []
        for number, image in pages.items():
            target = io.BytesIO()
            image.save(target, "PNG")
            corpus.append({"corpus-id": number, "image": {"bytes": target.getvalue(), "path": f"{number}.png"}})
        asked = [{"query-id": number, "query": text} for number, text in queries.items()]
        write_dataset(folder / task, {
            "corpus": {"test": corpus}, "queries": {"test": asked}, "qrels": {"test": judged},
        })  # fmt: skip
    return folder


def mteb_data(folder: Path, collection: Collection) -> Path:
    """The data of a retrieval task as mteb keeps them: configurations corpus, queries and default, split test."""
    corpus = [{"id": name, "title": "", "text": text} for name, text in collection.documents.items()]
    judged = _judged(collection, ("query-id", "corpus-id", "score"))
    return write_dataset(folder, {
        "corpus": {"test": corpus}, "queries": {"test": _texts(collection.queries, "id")}, "default": {"test": judged},
    })  # fmt: skip


def mteb_task(name: str, folder: Path, kind: str = "Retrieval") -> Any:
    """A task of mteb on data in a folder, read by its own loader.

    Args:
        name: Of the task.
        folder: With data as `mteb_data` writes them, and perhaps configurations top_ranked and instruction.
        kind: The type that mteb gives it, such as "Reranking".

    Returns:
        The class of the task.
    """
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    described: Any = {
        "name": name, "description": "A collection on this machine.", "reference": None, "type": kind,
        "category": "t2t", "dataset": {"path": str(folder), "revision": "1"}, "modalities": ["text"],
        "eval_splits": ["test"], "eval_langs": ["eng-Latn"], "main_score": "ndcg_at_10",
        "date": ("2026-01-01", "2026-01-02"), "domains": ["Written"], "task_subtypes": [], "license": "mit",
        "annotations_creators": "derived", "dialect": [], "sample_creation": "created", "bibtex_citation": "",
    }  # fmt: skip
    return type(name, (AbsTaskRetrieval,), {"metadata": TaskMetadata(**described), "__module__": __name__})
