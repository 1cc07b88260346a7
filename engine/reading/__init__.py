"""Where collections are read from: folders, single files, the hub, ir_datasets, registered names.

A file becomes lines (`lines`), lines become rows (`rows`), rows become texts and judgements (`texts`, `judgements`),
and these a collection (`assembly`). Training rows take the same way as far as the rows.
"""

from __future__ import annotations

import logging
from pathlib import Path

from engine import plugins
from engine.collection import Collection
from engine.errors import InputError, NotFoundError
from engine.reading import folders
from engine.reading.lines import reading

LOG = logging.getLogger(__name__)  # gets every note of every collection that is read; commands print them
SPLIT = "?split="  # a split behind the source's name, so that one text says what was read


def load_collection(
    source: str | Path,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    title_column: str | None = None,
    split: str | None = None,
) -> Collection:
    """Read a collection from wherever it is; docs/formats.md shows every format.

    Args:
        source: A BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`); one .jsonl, .json, .csv, .tsv or
            .parquet file with a text column; a folder of .txt and .md files; a registered name such as "embedded";
            "irds:NAME" for `ir_datasets`; or a BEIR-style dataset on the Hugging Face hub, "owner/name". It may end
            with "?split=dev".
        id_column: Column of the ids of a table; guessed from the usual names, else the lines are numbered.
        text_column: Column of the texts of a table; guessed from the usual names.
        title_column: Column of the titles of a table; guessed, optional.
        split: Which judgements of a BEIR folder or hub dataset to read; "test" where they are there if None.

    Returns:
        The collection, checked; its notes say what was left out or replaced.

    Raises:
        NotFoundError: nothing of that name.
        InputError: a malformed line (named by its number), a missing column, no texts, a split that is not there, or
            an argument that this source has no use for.
    """
    name, named_split = split_of(source)
    if split is not None and named_split is not None and split != named_split:
        raise InputError(f"{source} names the split {named_split!r}, the argument {split!r}: give one of them.")
    asked = {"id": id_column, "text": text_column, "title": title_column}
    path = Path(name)
    with reading(path):
        collection = _load(name, path, asked, split if split is not None else named_split)
    for note in collection.notes:
        LOG.info("%s: %s.", collection.name, note)
    return collection


def split_of(source: str | Path) -> tuple[str, str | None]:
    """The source without the split that its name may end with, and that split or None."""
    name, found, split = str(source).rpartition(SPLIT)
    return (name, split) if found and name and split else (str(source), None)


def with_split(source: str, split: str | None) -> str:
    """The source's name with a split behind it: one text that says what is read, for records and other processes.

    Raises:
        InputError: it names another split already.
    """
    name, named = split_of(source)
    if split is None or named == split:
        return source
    if named is not None:
        raise InputError(f"{source} names the split {named!r}, --split {split!r}: give one of them.")
    return f"{name}{SPLIT}{split}"


def _load(name: str, path: Path, asked: folders.Asked, split: str | None) -> Collection:
    registered = plugins.find(plugins.COLLECTIONS, name)
    if registered is not None:
        _unused(f"the collection {name!r}", asked, split)
        return registered()
    if name.startswith("irds:"):
        from engine.reading.hub import read_irds

        _unused(f"{name} (its name holds the split)", asked, split)
        return read_irds(name.removeprefix("irds:"))
    if not name.strip():
        raise NotFoundError("Expected a collection, got an empty name: give a folder, a file or a known name.")
    if path.is_dir() and folders.is_beir(path):
        return folders.read_beir(path, asked, split)
    if path.is_dir():
        _unused(f"the folder of texts {name}", asked, split)
        return folders.read_notes(path)
    if path.is_file():
        _unused(f"the file {name}, which has no judgements", {}, split)
        return folders.read_file(path, asked)
    if name.count("/") == 1 and not path.suffix and not name.startswith((".", "/")):
        from engine.reading.hub import read_hub

        return read_hub(name, asked, split)
    known = ", ".join(plugins.names(plugins.COLLECTIONS)) or "none"
    raise NotFoundError(
        f"No collection {name!r}: give a folder, a file, irds:NAME, owner/name on the hub, or a known name ({known})."
    )


def _unused(source: str, asked: folders.Asked, split: str | None) -> None:
    given = [f"{role}_column" for role, column in asked.items() if column is not None]
    given += ["split"] if split is not None else []
    if given:
        raise InputError(f"Expected no {' or '.join(given)} for {source}: leave it out.")
