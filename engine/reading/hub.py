"""Collections that other libraries fetch: datasets of the Hugging Face hub, and `ir_datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.collection import Collection
from engine.errors import InputError, NotFoundError, missing_extra
from engine.fields import Fields
from engine.letters import clean
from engine.reading import columns
from engine.reading.assembly import assemble, choose_split
from engine.reading.folders import Asked
from engine.reading.judgements import DOCUMENT_COLUMNS, GRADE_COLUMNS, QUERY_COLUMNS, judgements_of
from engine.reading.rows import Table
from engine.reading.texts import gather_documents, gather_queries
from engine.reading.values import TEXT_COLUMNS, find_column

QRELS = (("{}", "qrels"), ("{}", "default"), ("{}-qrels", None))  # today's mteb, mteb, BeIR


def read_hub(name: str, asked: Asked, split: str | None) -> Collection:
    """A BEIR-style dataset: configurations `corpus` and `queries`, judgements as another one or as `name-qrels`.

    Args:
        name: "owner/name" on the hub.
        asked: Columns of the corpus.
        split: Of the judgements; "test" where it is there if None.

    Returns:
        The collection.

    Raises:
        NotFoundError: it is not cached and cannot be fetched.
        InputError: no judgements of that split.
    """
    corpus, reason = _load(name, "corpus")
    if corpus is None:
        raise NotFoundError(
            f"{name!r} is not cached and could not be fetched ({reason}): connect once, or give a local folder."
        )
    splits, why = _judged_splits(name)
    chosen, notes = choose_split(splits, split, repr(name))
    if not splits:
        notes.append(f"no judgements were read: {name!r} has none that could be found ({why})")
    questions, _ = _load(name, "queries")
    table = _table(f"the corpus of {name}", corpus, "corpus", chosen)
    documents = gather_documents([table], asked)
    fields = columns.of_tables([table], asked, lambda: [_table(f"the corpus of {name}", corpus, "corpus", chosen)])
    queries = None
    if questions is not None:
        queries = gather_queries([_table(f"the queries of {name}", questions, "queries", chosen)])
    judgements = None
    if chosen is not None:
        judgements = judgements_of([Table.of_rows(f"the judgements of {name}", splits[chosen])])
    return assemble(name, documents, queries, judgements, chosen, notes, fields=fields)


def rows_of(name: str, configuration: str, split: str, file: str | None = None) -> Any:
    """The rows of one split of a dataset.

    Args:
        name: "owner/name" on the hub, or a folder.
        configuration: Of the dataset.
        split: Of the configuration.
        file: The file of the split, where the splits of a configuration have other columns each, which the library
            refuses to read together.

    Returns:
        A `datasets.Dataset`.

    Raises:
        NotFoundError: it is not cached and cannot be fetched, or has no such configuration or split.
        MissingExtraError: the library is not installed.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise missing_extra("datasets", "hub") from None
    try:
        if file is not None:
            return load_dataset(name, data_files={split: file}, split=split)
        return load_dataset(name, configuration, split=split)
    except Exception as error:  # the library raises many types for "not there" and "no network"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotFoundError(
            f"{configuration}/{split} of {name!r} is not cached and could not be fetched ({reason}): connect once, or "
            "give a local folder in its layout."
        ) from None


def _load(name: str, configuration: str | None) -> tuple[dict[str, Any] | None, str]:
    """Split -> rows of one configuration, or None and why it could not be loaded."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise missing_extra("datasets", "hub") from None
    try:
        loaded: Any = load_dataset(name, configuration) if configuration else load_dataset(name)
        return {str(part): loaded[part] for part in loaded}, ""
    except Exception as error:  # the library raises many types for "not there" and "no network"
        return None, (str(error).splitlines() or [type(error).__name__])[0]


def _judged_splits(name: str) -> tuple[dict[str, Any], str]:
    reasons = []
    for pattern, configuration in QRELS:
        found, reason = _load(pattern.format(name), configuration)
        reasons.append(reason)
        judged = {
            split: rows
            for split, rows in (found or {}).items()
            if all(find_column(rows.column_names, usual) for usual in (QUERY_COLUMNS, DOCUMENT_COLUMNS, GRADE_COLUMNS))
        }
        if judged:
            return judged, ""
    return {}, next((reason for reason in reasons if reason), "no configuration has query-id, corpus-id and score")


def _table(name: str, parts: dict[str, Any], usual: str, split: str | None) -> Table:
    """The rows of the split named as the configuration, else of the judgements' split, else of the only one."""
    for part in (usual, split):
        if part in parts:
            return Table.of_rows(name, parts[part])
    if len(parts) > 1:
        raise InputError(f"{name} has the splits {', '.join(sorted(parts))}: choose one of them with split.")
    return Table.of_rows(name, next(iter(parts.values())))


def read_irds(name: str) -> Collection:
    """A dataset of `ir_datasets`.

    Args:
        name: As the library calls it, such as "beir/scifact/test".

    Returns:
        The collection.

    Raises:
        NotFoundError: the library knows none of that name, or it is not cached and cannot be fetched.
        InputError: it has no documents.
    """
    try:
        import ir_datasets
    except ImportError:
        raise missing_extra("ir_datasets", "hub") from None
    try:
        dataset: Any = ir_datasets.load(name)
    except KeyError:
        raise NotFoundError(f"ir_datasets knows no {name!r}: look it up with `ir_datasets list`.") from None
    if not hasattr(dataset, "docs_iter"):
        raise InputError(f"irds:{name} has no documents: choose the dataset that it belongs to.")
    source = f"irds:{name}"
    documents = gather_documents([Table.of_rows(source, _fetched(dataset.docs_iter, source, _document))])
    queries = judgements = None
    if hasattr(dataset, "queries_iter"):
        queries = gather_queries([Table.of_rows(source, _fetched(dataset.queries_iter, source, _query))])
    if hasattr(dataset, "qrels_iter"):
        judgements = judgements_of([Table.of_rows(source, _fetched(dataset.qrels_iter, source, _judgement))])
    return assemble(name, documents, queries, judgements, fields=_fields(dataset, source))


def _fields(dataset: Any, source: str) -> Fields | None:
    """What the class of its documents holds beside their ids, titles and texts."""
    known = {"doc_id", "title", *TEXT_COLUMNS}
    every = getattr(dataset.docs_cls(), "_fields", ()) if hasattr(dataset, "docs_cls") else ()
    names = tuple(name for name in every if name not in known)

    def rows() -> dict[str, Any]:
        read = _fetched(dataset.docs_iter, source, lambda entry: {"id": entry.doc_id, **_values(entry, names)})
        return {clean(str(row.pop("id"))): row for row in read}

    return Fields(names, rows) if names else None


def _values(entry: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(entry, name, None) for name in names}


def _fetched(iterate: Any, source: str, row: Any) -> Iterator[dict[str, Any]]:
    try:
        for entry in iterate():
            yield row(entry)
    except Exception as error:  # downloads, licences and parsers of the library raise many types
        if isinstance(error, (InputError, NotFoundError)):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotFoundError(f"{source} is not cached and cannot be fetched ({reason}): connect once.") from None


def _document(entry: Any) -> dict[str, Any]:
    """Title and text of their own where the class has both; its default text may hold the title already."""
    title = getattr(entry, "title", None)
    fields = (getattr(entry, column, None) for column in TEXT_COLUMNS)
    text = next((value for value in fields if isinstance(value, str)), None)
    if title is None or text is None:
        text = entry.default_text() if hasattr(entry, "default_text") else text
        if title and text and text.lstrip().startswith(title):
            text = text.lstrip()[len(title) :].lstrip()
    return {"id": entry.doc_id, "title": title, "text": text}


def _query(entry: Any) -> dict[str, Any]:
    text = entry.default_text() if hasattr(entry, "default_text") else getattr(entry, "text", None)
    return {"id": entry.query_id, "text": text}


def _judgement(entry: Any) -> dict[str, Any]:
    return {"query_id": entry.query_id, "doc_id": entry.doc_id, "score": entry.relevance}
