"""Tasks of mteb as collections, and the texts that a model sees of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.collection import Collection, join_title
from engine.errors import InputError, NotFoundError, missing_extra
from engine.reading.assembly import assemble
from engine.reading.judgements import Judgements
from engine.reading.texts import Texts

Row = Mapping[str, Any]


def document_text(row: Row) -> str:
    """What a model sees of a document: its title in front of its text, as mteb joins them."""
    return join_title(row.get("title"), row.get("text"))


def query_text(row: Row) -> str:
    """What a model sees of a query: with its instruction, and the turns of a conversation in one line, as mteb has it.

    Raises:
        InputError: turns of another form.
    """
    text, instruction = row["text"], row.get("instruction")
    if isinstance(text, list):
        turns = [turn if isinstance(turn, str) else f"{turn['role']}: {turn['content']}" for turn in text]
        return " ".join(filter(None, [instruction, "; ".join(turns)]))
    return text if instruction is None else f"{text} {instruction}"


def read_task(name: str, split: str | None) -> Collection:
    """The collection of a retrieval task of mteb.

    Args:
        name: Of the task, such as "SciFact", with a subset behind a slash where it has several ("MIRACL/de").
        split: One of the task's; its own when None.

    Returns:
        The collection.

    Raises:
        NotFoundError: mteb knows no such task, or its data are not cached and cannot be fetched.
        InputError: it is no retrieval task over texts, or has no such subset or split.
        MissingExtraError: mteb is not installed.
    """
    task, subset = find_task(name), name.partition("/")[2]
    splits, subsets = list(task.eval_splits), list(task.hf_subsets)
    if subset and subset not in subsets:
        raise InputError(f"The task {task.metadata.name} has no subset {subset!r}: choose among {', '.join(subsets)}.")
    if split is not None and split not in splits:
        raise InputError(f"The task {task.metadata.name} has no split {split!r}: choose among {', '.join(splits)}.")
    if not subset and len(subsets) > 1:
        raise InputError(
            f"The task {task.metadata.name} has {len(subsets)} subsets: name one behind a slash, such as "
            f"{task.metadata.name}/{subsets[0]}."
        )
    data = task_data(task)
    part = data.get(subset or subsets[0], {}).get(split or splits[0])
    if part is None:
        raise InputError(f"The task {task.metadata.name} came without {split or splits[0]!r}: choose another split.")
    return collection_of(f"mteb:{name}", part["corpus"], part["queries"], part["relevant_docs"])


def find_task(name: str) -> Any:
    """A retrieval task over texts, by the name that mteb gives it.

    Args:
        name: Of the task; what stands behind a slash is a subset.

    Returns:
        The task of mteb, not loaded.

    Raises:
        NotFoundError: mteb knows no such task.
        InputError: it is no retrieval or reranking task over texts.
        MissingExtraError: mteb is not installed.
    """
    try:
        import mteb
        from mteb.abstasks import AbsTaskRetrieval
    except ImportError:
        raise missing_extra("mteb", "benchmarks") from None
    try:
        task = mteb.get_task(name.partition("/")[0])
    except KeyError as error:
        reason = str(error.args[0]).splitlines()[0] if error.args else "unknown"
        raise NotFoundError(f"mteb knows no task {name!r} ({reason}): see `mteb available-tasks`.") from None
    if not isinstance(task, AbsTaskRetrieval) or "text" not in task.metadata.modalities:
        raise InputError(
            f"The task {task.metadata.name} is of the type {task.metadata.type}: choose a retrieval or reranking task "
            "over texts."
        )
    return task


def task_data(task: Any) -> dict[str, dict[str, Any]]:
    """Load what a task holds: subset -> split -> corpus, queries, relevant_docs and top_ranked.

    Raises:
        NotFoundError: it is not cached and cannot be fetched.
    """
    try:
        task.load_data()
    except Exception as error:  # the libraries raise many types for "not there" and "no network"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotFoundError(
            f"The data of {task.metadata.name} are not cached and cannot be fetched ({reason}): connect once."
        ) from None
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    return task.dataset


def collection_of(name: str, corpus: Iterable[Row], queries: Iterable[Row], judged: Mapping[str, Row]) -> Collection:
    """A collection of the rows of a task.

    Args:
        name: What it is called.
        corpus: Rows with id, text and title.
        queries: Rows with id, text and instruction.
        judged: Query -> {document: grade}.

    Returns:
        The collection, with the texts that mteb's own models see.
    """
    documents, asked = Texts(), Texts("queries")
    for row in corpus:
        documents.add(row["id"], row.get("title"), row.get("text"), f"A document of {name}")
    for row in queries:
        asked.add(row["id"], None, query_text(row), f"A query of {name}")
    found = Judgements()
    for query, grades in judged.items():
        for document, grade in grades.items():
            found.add(query, document, grade, f"A judgement of {name}")
    return assemble(name, documents, asked, found)
