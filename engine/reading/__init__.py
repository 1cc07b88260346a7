"""Where collections are read from: folders, single files, the hub, ir_datasets, registered names.

A file of a table becomes lines (`lines`), lines become rows (`rows`), rows become texts and judgements (`texts`,
`judgements`), and these a collection (`assembly`). Training rows take the same way as far as the rows. A file that is a
document itself becomes pages in a process of its own (`apart`), and these, like rows, texts or passages of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine import plugins
from engine.collection import Collection
from engine.errors import InputError, NotFoundError
from engine.reading import benchmarks, folders
from engine.reading.assembly import rejudged
from engine.reading.lines import reading
from engine.reading.rows import table_kind
from engine.reading.sources import Source

if TYPE_CHECKING:
    from engine.reading.apart import Limits
    from engine.reading.passages import Passages

__all__ = ["Source", "from_library", "load_collection"]
LOG = logging.getLogger(__name__)  # gets every note of every collection that is read; commands print them


def load_collection(
    source: str | Path,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    title_column: str | None = None,
    split: str | None = None,
    passages: str | Passages | None = None,
    qrels: str | Path | None = None,
    limits: Limits | None = None,
) -> Collection:
    """Read a collection from wherever it is; docs/formats.md shows every format.

    Args:
        source: A BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`); one .jsonl, .json, .csv, .tsv or
            .parquet file with a text column; a folder of .txt, .md, .pdf, .html and .docx files, or one of these; a
            registered name such as "embedded"; "irds:NAME" for `ir_datasets`; a benchmark's task such as
            "nanobeir:scifact", "bright:biology/long" or "mteb:SciFact"; or a BEIR-style dataset on the Hugging Face
            hub, "owner/name". It may end with "?split=dev", "?passages=200:40" or "?split=dev&passages=200:40".
        id_column: Column of the ids of a table; guessed from the usual names, else the lines are numbered.
        text_column: Column of the texts of a table; guessed from the usual names.
        title_column: Column of the titles of a table; guessed, optional.
        split: Which judgements of a BEIR folder or hub dataset to read; "test" where they are there if None.
        qrels: A file of judgements (BEIR, TREC or a table) that stands in place of the collection's own.
        passages: Cut texts into passages, "size:overlap" in words or "size:overlap:tokens"; see `Passages`.
        limits: What a PDF, HTML or .docx file may take.

    Returns:
        The collection, checked; its notes say what was left out or replaced.

    Raises:
        NotFoundError: nothing of that name.
        InputError: a malformed line (named by its number), a missing column, no texts, a split that is not there, or
            an argument that this source has no use for.
        MissingExtraError: the library that reads a file is not installed.
    """
    given = {"split": split, "passages": passages, "qrels": qrels}
    chosen = Source.parse(source).choose(
        **{name: None if value is None else str(value) for name, value in given.items()}
    )
    cut = _cutter(chosen.passages)
    asked = {"id": id_column, "text": text_column, "title": title_column}
    path = Path(chosen.name)
    with reading(path):
        collection = _load(chosen, path, asked, limits)
    collection = cut(collection)
    for note in collection.notes:
        LOG.info("%s: %s.", collection.name, note)
    return collection


def from_library(source: str | Path) -> bool:
    """Whether another library fetches a collection: of the hub, of ir_datasets, or a benchmark's task.

    Such a library may look into transformers, which must not be half imported then: load no model beside it.
    """
    name = Source.parse(source).name
    return name.startswith("irds:") or benchmarks.is_benchmark(name) or (_is_hub(name) and not Path(name).exists())


def _is_hub(name: str) -> bool:
    """Whether a name could be "owner/name" on the hub."""
    return name.count("/") == 1 and not Path(name).suffix and not name.startswith((".", "/"))


def _cutter(passages: str | None) -> Callable[[Collection], Collection]:
    """What cuts a collection as a text says; a wrong one is an error before anything is read."""
    if passages is None:
        return lambda collection: collection
    from engine.reading.passages import Passages, cut_collection

    parsed = Passages.parse(passages)
    return lambda collection: cut_collection(collection, parsed)


def _load(source: Source, path: Path, asked: folders.Asked, limits: Limits | None) -> Collection:
    if source.qrels is None:
        return _read(source, path, asked, limits)
    if source.split is not None:
        raise InputError(f"Expected a split or a file of qrels, got both for {source.name}: leave one of them out.")
    with reading(Path(source.qrels)):
        judged = folders.read_judgements([Path(source.qrels)])
    if path.is_dir() and folders.is_beir(path):  # with the queries of all splits
        return folders.read_beir(path, asked, None, judged)
    return rejudged(_read(source, path, asked, limits), judged, source.qrels)


def _read(source: Source, path: Path, asked: folders.Asked, limits: Limits | None) -> Collection:
    name, split = source.name, source.split
    registered = plugins.find(plugins.COLLECTIONS, name)
    if registered is not None:
        _unused(f"the collection {name!r}", asked, split)
        return registered()
    if name.startswith("irds:"):
        from engine.reading.hub import read_irds

        _unused(f"{name} (its name holds the split)", asked, split)
        return read_irds(name.removeprefix("irds:"))
    if benchmarks.is_benchmark(name):
        _unused(f"the benchmark's task {name}", asked, None)
        return benchmarks.read_benchmark(name, split)
    if not name.strip():
        raise NotFoundError("Expected a collection, got an empty name: give a folder, a file or a known name.")
    if path.is_dir() and folders.is_beir(path):
        return folders.read_beir(path, asked, split)
    if path.is_dir() or (path.is_file() and table_kind(path) is None):
        from engine.reading import documents

        if path.is_dir():
            _unused(f"the folder of texts {name}", asked, split)
            return documents.read_folder(path, limits)
        if documents.is_document(path):
            _unused(f"the file {name}, which is one document", asked, split)
            return documents.read_document(path, limits)
    if path.is_file():
        _unused(f"the file {name}, which has no judgements", {}, split)
        return folders.read_file(path, asked)
    if _is_hub(name):
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
