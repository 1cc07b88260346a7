"""Where collections are read from: folders, single files, the hub, ir_datasets, registered names."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine import plugins
from engine.collection import Collection, Qrels, join_title
from engine.errors import InputError, NotFoundError, missing_extra

ID_COLUMNS = ("_id", "id", "doc_id", "docid", "document_id", "pid", "query_id", "qid")
TEXT_COLUMNS = ("text", "contents", "content", "body", "passage", "document", "abstract")
TITLE_COLUMNS = ("title", "headline", "subject")
TABLES = {".jsonl", ".csv", ".tsv", ".parquet"}
PLAIN = {".txt", ".md"}

Row = dict[str, Any]


def load_collection(
    source: str | Path,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    title_column: str | None = None,
    split: str = "test",
) -> Collection:
    """Read a collection from wherever it is.

    Args:
        source: A BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`); one .jsonl, .csv, .tsv or .parquet
            file with a text column; a folder of .txt and .md files; a registered name such as "embedded";
            "irds:NAME" for `ir_datasets`; or a BEIR-style dataset on the Hugging Face hub, "owner/name".
        id_column: Column of the ids in a single file; guessed from the usual names, else row numbers.
        text_column: Column of the texts in a single file; guessed from the usual names.
        title_column: Column of the titles in a single file; guessed, optional.
        split: Which judgements of a BEIR folder or hub dataset to read.

    Returns:
        The collection, checked.

    Raises:
        NotFoundError: nothing of that name.
        InputError: a malformed line (named by its number), a missing column, empty texts, dangling judgements.
    """
    name = str(source)
    registered = plugins.find(plugins.COLLECTIONS, name)
    if registered is not None:
        return registered()
    if name.startswith("irds:"):
        return _read_irds(name.removeprefix("irds:"))
    path = Path(source)
    if path.is_dir() and (path / "corpus.jsonl").exists():
        return _read_beir(path, split)
    if path.is_dir():
        return _read_plain_folder(path)
    if path.is_file():
        return _read_table_collection(path, id_column, text_column, title_column)
    if name.count("/") == 1 and not path.suffix and not name.startswith((".", "/")):
        return _read_hub(name, split)
    known = ", ".join(plugins.names(plugins.COLLECTIONS)) or "none"
    raise NotFoundError(
        f"No collection {name!r}: give a folder, a file, irds:NAME, owner/name on the hub, or a known name ({known})."
    )


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a .jsonl, .csv, .tsv or .parquet file with their line numbers, counted from 1.

    Raises:
        InputError: a line that is no JSON object, or another suffix.
    """
    if path.suffix == ".jsonl":
        yield from _read_jsonl(path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            for row in reader:
                yield reader.line_num, row
    elif path.suffix == ".parquet":
        from pyarrow import parquet

        yield from enumerate(parquet.read_table(path).to_pylist(), start=1)
    else:
        raise InputError(f"Expected one of {sorted(TABLES)}, got {path.name!r}: convert it first.")


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise InputError(f"Line {number} of {path} is not JSON ({error}): correct or remove it.") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"Line {number} of {path} holds a {type(row).__name__}, expected an object: correct it."
                )
            yield number, row


def _pick(columns: list[str], asked: str | None, usual: tuple[str, ...], path: Path, what: str) -> str | None:
    if asked is not None:
        if asked not in columns:
            raise InputError(f"{path} has no column {asked!r}, it has {columns}: name one of these.")
        return asked
    found = next((column for column in usual if column in columns), None)
    if found is None and what == "text":
        raise InputError(f"{path} has no text column among {list(usual)}, it has {columns}: name it with text_column.")
    return found


def _read_table_collection(
    path: Path, id_column: str | None, text_column: str | None, title_column: str | None
) -> Collection:
    documents: dict[str, str] = {}
    titles: dict[str, str] = {}
    picked: tuple[str | None, str | None, str | None] | None = None
    for number, row in read_rows(path):
        if picked is None:
            columns = list(row)
            picked = (
                _pick(columns, id_column, ID_COLUMNS, path, "id"),
                _pick(columns, text_column, TEXT_COLUMNS, path, "text"),
                _pick(columns, title_column, TITLE_COLUMNS, path, "title"),
            )
        name, text, title = (row.get(column) if column else None for column in picked)
        _add(documents, titles, str(number) if name is None else str(name), title, text, f"Line {number} of {path}")
    return Collection(documents, name=path.stem, titles=titles)


def _add(
    documents: dict[str, str], titles: dict[str, str], name: str, title: Any, text: Any, where: str, strict: bool = True
) -> bool:
    """Add one document; with `strict` an empty text is an error, otherwise it is left out (False is returned)."""
    joined = join_title(None if title is None else str(title), None if text is None else str(text))
    if name in documents:
        raise InputError(f"{where} repeats the id {name!r}: give every document its own.")
    if not joined:
        if strict:
            raise InputError(f"{where} has an empty text (id {name!r}): remove it or fill it.")
        return False
    documents[name] = joined
    if title:
        titles[name] = str(title)
    return True


def _read_beir(folder: Path, split: str) -> Collection:
    documents: dict[str, str] = {}
    titles: dict[str, str] = {}
    empty: set[str] = set()
    for number, row in _read_jsonl(folder / "corpus.jsonl"):
        where = f"Line {number} of {folder / 'corpus.jsonl'}"
        if "_id" not in row or "text" not in row:
            raise InputError(f"{where} lacks `_id` or `text`: a BEIR corpus needs both.")
        name = str(row["_id"])
        if not _add(documents, titles, name, row.get("title"), row["text"], where, strict=False):
            empty.add(name)
    queries: dict[str, str] = {}
    path = folder / "queries.jsonl"
    if path.exists():
        for number, row in _read_jsonl(path):
            if "_id" not in row or "text" not in row:
                raise InputError(f"Line {number} of {path} lacks `_id` or `text`: BEIR queries need both.")
            queries[str(row["_id"])] = str(row["text"])
    qrels = _read_qrels(folder / "qrels" / f"{split}.tsv")
    unjudged = [query for query in queries if query not in qrels] if qrels else []
    for grades in qrels.values():
        for name in empty & grades.keys():
            del grades[name]
    if qrels:  # a BEIR folder holds the queries of every split; keep those of this one
        queries = {query: text for query, text in queries.items() if query in qrels}
    notes = []
    if empty:
        notes.append(f"{len(empty)} documents with empty texts were left out, first {sorted(empty)[0]!r}")
    if unjudged:
        notes.append(f"{len(unjudged)} queries without judgements in {split!r} were left out, first {unjudged[0]!r}")
    return Collection(documents, queries, qrels, folder.name, tuple(notes), titles)


def _read_qrels(path: Path) -> Qrels:
    """Judgements of a BEIR or TREC file: three or four columns, with or without a header."""
    qrels: Qrels = {}
    if not path.exists():
        return qrels
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split()
        if not parts or (number == 1 and not parts[-1].lstrip("-").isdigit()):
            continue
        if len(parts) not in (3, 4) or not parts[-1].lstrip("-").isdigit():
            raise InputError(f"Line {number} of {path} is not `query document grade`: correct or remove it.")
        query, document = (parts[0], parts[1]) if len(parts) == 3 else (parts[0], parts[2])
        qrels.setdefault(query, {})[document] = int(parts[-1])
    return qrels


def _read_plain_folder(folder: Path) -> Collection:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PLAIN and path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no corpus.jsonl and no {' or '.join(sorted(PLAIN))} files: add some.")
    documents: dict[str, str] = {}
    empty = 0
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}): convert it.") from None
        if text:
            documents[path.relative_to(folder).as_posix()] = text
        empty += not text
    notes = (f"{empty} empty files were left out",) if empty else ()
    return Collection(documents, name=folder.name, notes=notes)


def _read_irds(name: str) -> Collection:
    try:
        import ir_datasets
    except ImportError:
        raise missing_extra("ir_datasets", "hub") from None
    try:
        dataset = ir_datasets.load(name)
        documents, titles = {}, {}
        for document in dataset.docs_iter():
            _add(
                documents,
                titles,
                document.doc_id,
                getattr(document, "title", None),
                document.default_text(),
                name,
                False,
            )
        queries = {query.query_id: query.default_text() for query in dataset.queries_iter()}
        qrels: Qrels = {}
        for judgement in dataset.qrels_iter():
            if judgement.query_id in queries and judgement.doc_id in documents:
                qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = judgement.relevance
    except KeyError:
        raise NotFoundError(f"ir_datasets knows no {name!r}: look it up with `ir_datasets list`.") from None
    except OSError as error:
        raise NotFoundError(f"irds:{name} is not cached and cannot be fetched ({error}): connect once.") from None
    return Collection(documents, queries, qrels, name, titles=titles)


def _read_hub(name: str, split: str) -> Collection:
    """A BEIR-style dataset: configurations `corpus` and `queries`, judgements beside it as `name-qrels` or `qrels`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise missing_extra("datasets", "hub") from None

    def rows(loader: Callable[[], Any]) -> list[Row]:
        try:
            return list(loader())
        except Exception as error:  # the library raises many types for "not there" and "no network"
            reason = str(error).splitlines()[0]
            raise NotFoundError(
                f"{name!r} is not cached and could not be fetched ({reason}): connect once, or give a local folder."
            ) from None

    documents: dict[str, str] = {}
    titles: dict[str, str] = {}
    for row in rows(lambda: load_dataset(name, "corpus", split="corpus")):
        _add(documents, titles, str(row["_id"]), row.get("title"), row["text"], name, strict=False)
    qrels: Qrels = {}
    for row in rows(lambda: load_dataset(f"{name}-qrels", split=split)):
        if str(row["corpus-id"]) in documents:
            qrels.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
    queries = {
        str(row["_id"]): row["text"]
        for row in rows(lambda: load_dataset(name, "queries", split="queries"))
        if str(row["_id"]) in qrels
    }
    return Collection(documents, queries, qrels, name, titles=titles)
