"""Collections from tables on this machine: a BEIR folder, or one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from engine.collection import Collection
from engine.errors import InputError
from engine.reading import columns
from engine.reading.assembly import USUAL_SPLIT, assemble, choose_split
from engine.reading.judgements import NAMES as JUDGEMENT_NAMES
from engine.reading.judgements import Judgements, judgements_of, read_qrels
from engine.reading.rows import TABLES, Table, read_table, table_kind, table_stem
from engine.reading.texts import HEADERLESS, NAMES, gather_documents, gather_queries

Asked = Mapping[str, str | None]  # role -> the column that a person named for it

CORPORA = ("corpus", "collection")  # BEIR, MS MARCO
QRELS_FOLDERS = ("qrels", "default", "data")  # BEIR, and what the hub makes of it
QRELS_TEXTS = (".tsv", ".txt", ".qrels")
_PART = re.compile(r"-\d{5}-of-\d{5}$")  # how the hub numbers the files of a split


def is_beir(folder: Path) -> bool:
    """Whether a folder holds a corpus of rows."""
    return any(_part(folder, name) for name in CORPORA)


def read_beir(folder: Path, asked: Asked, split: str | None, judged: Judgements | None = None) -> Collection:
    """A folder in the BEIR layout, or as the hub or MS MARCO lay it out.

    Args:
        folder: With a corpus, queries and judgements, each one table, or a folder of tables.
        asked: Columns of the corpus.
        split: Of the judgements; "test" where it is there if None.
        judged: Judgements from elsewhere: those of the folder are not read then.

    Returns:
        The collection.
    """
    corpus = next(files for name in CORPORA if (files := _part(folder, name)))
    splits = _splits(folder) if judged is None else {}
    chosen, notes = choose_split(splits, split, str(folder))
    tables, read = _tables_again(corpus, asked)
    documents = gather_documents(tables, asked)
    asking = _part(folder, "queries") or _part(folder, f"queries.{chosen or USUAL_SPLIT}")
    queries = gather_queries(_tables(asking, NAMES)) if asking else None
    judgements = judged if chosen is None else read_judgements(splits[chosen])
    fields = columns.of_tables(tables, asked, read)
    return assemble(folder.resolve().name, documents, queries, judgements, chosen, notes, fields=fields)


def read_file(path: Path, asked: Asked) -> Collection:
    """One table of documents.

    Args:
        path: The file.
        asked: Columns.

    Returns:
        The collection, without queries.
    """
    (table,), read = _tables_again([path], asked)
    if not table.rows:
        header = f"a header ({', '.join(table.columns)}) and no rows" if table.columns else "nothing"
        raise InputError(f"{path} holds {header}: give at least one row with a text.")
    fields = columns.of_tables([table], asked, read)
    return assemble(table_stem(path), gather_documents([table], asked), fields=fields)


def _tables_again(paths: list[Path], asked: Asked) -> tuple[list[Table], Callable[[], Iterable[Table]]]:
    """The tables of a corpus, and what reads them again as long as their files are the same."""
    names = NAMES | {name for name in asked.values() if name is not None}
    again = columns.unchanged(paths, lambda: _tables(paths, names))
    return list(again()), again


def _part(folder: Path, name: str) -> list[Path]:
    """The files of one part: `name` with any suffix of a table, or the tables in a folder of that name."""
    for suffix in TABLES:
        for path in (folder / f"{name}{suffix}", folder / f"{name}{suffix}.gz"):
            if path.is_file():
                return [path]
    return _inside(folder / name)


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if table_kind(path) and not path.name.startswith("."))


def _tables(paths: list[Path], names: set[str]) -> list[Table]:
    return [read_table(path, names, HEADERLESS) for path in paths]


def _splits(folder: Path) -> dict[str, list[Path]]:
    """Split -> its files: `qrels/<split>.tsv` and the like, or `qrels.<split>.tsv` beside the corpus."""
    found: dict[str, list[Path]] = {}
    for place in (folder / name for name in QRELS_FOLDERS if (folder / name).is_dir()):
        for path in sorted(place.iterdir()):
            if _is_qrels(path):
                found.setdefault(_PART.sub("", _stem(path)), []).append(path)
        if found:
            return found
    for path in sorted(folder.glob("qrels*")):
        if _is_qrels(path):
            name = _stem(path).removeprefix("qrels").strip(".-_") or USUAL_SPLIT
            found.setdefault(name, []).append(path)
    return found


def _stem(path: Path) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name.rpartition(".")[0]


def _is_qrels(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return path.is_file() and not name.startswith(".") and name.endswith((*TABLES, *QRELS_TEXTS))


def read_judgements(paths: list[Path]) -> Judgements:
    """Judgements of a text file, or of tables.

    Args:
        paths: One text file, or tables of the same columns.

    Returns:
        The judgements.

    Raises:
        InputError: the columns are others.
    """
    if len(paths) == 1 and table_kind(paths[0]) in (None, ".tsv"):
        return read_qrels(paths[0])
    found = judgements_of([read_table(path, JUDGEMENT_NAMES) for path in paths])
    if found is None:
        raise InputError(f"{paths[0]} holds no judgements: its columns must be query-id, corpus-id and score.")
    return found
