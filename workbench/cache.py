"""Embeddings and indexes kept for next time, under the hash of everything that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine import Encoder, TokenEmbeddings, storage
from engine.encoder import Progress, Task
from engine.errors import BusyError, CorruptDataError, NotFoundError, StorageError
from engine.indexes import Index, index_class, new_index, open_index
from engine.pooling import PoolSettings
from workbench.elsewhere import SpreadEncoder, spread_index
from workbench.paths import data_folder

BLOCK_TEXTS = 2048


def content_key(*parts: object) -> str:
    """Hash of JSON values and strings, 20 hex digits."""
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        text = part if isinstance(part, str) else json.dumps(part, sort_keys=True, default=str)
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def embeddings_folder(encoder: Encoder, texts: Sequence[str], task: Task, dtype: str) -> Path:
    """Where the embeddings of these texts are kept."""
    added = [f"{encoder.added} added"] if encoder.added else []  # kept before that was written down: made again
    way = [name] if task == "query" and (name := getattr(encoder, "questions", "")) else []
    key = content_key(encoder.fingerprint, encoder.dtype, task, dtype, *added, *way, *texts)
    return data_folder("cache", "embeddings") / key


def cached_embeddings(
    encoder: Encoder, texts: Sequence[str], task: Task, progress: Progress | None = None, dtype: str = "float16"
) -> TokenEmbeddings:
    """Encode texts, or open what was kept from the last time.

    Args:
        encoder: The model.
        texts: n texts, none empty.
        task: "query" or "document".
        progress: Called with (texts done, n); not called when nothing is encoded.
        dtype: How vectors are kept, "float16" or "float32".

    Returns:
        n embeddings in `dtype`, memory-mapped; what is found damaged is made again, with a warning that says so.
    """
    folder = embeddings_folder(encoder, texts, task, dtype)

    def encode(missing: Mapping[int, Sequence[str]], report: Progress) -> Iterator[tuple[int, TokenEmbeddings]]:
        for start, block in _encode_each(encoder, missing, task, report):
            yield start, block.astype(dtype)

    def make() -> TokenEmbeddings:
        empty = TokenEmbeddings.from_list([], encoder.fingerprint, encoder.dim).astype(dtype)
        return _made_in_blocks(texts, encode, progress, folder) if len(texts) else empty

    return _kept_or_made(folder, make)[0]


_checked: set[tuple[str, int]] = set()  # entries whose files this process has compared with their checksums


def _checked_once(folder: Path, verify: Callable[[], None]) -> None:
    """Compare the files of an entry with their checksums when this process first meets it as it is."""
    key = (str(folder), (folder / storage.MANIFEST).stat().st_mtime_ns)
    if key not in _checked:
        verify()
        _checked.add(key)


def _kept(folder: Path, mend: bool) -> TokenEmbeddings | None:
    """Open embeddings that were kept; None when there are none, or damaged ones, which `mend` removes with a note."""
    try:
        found = TokenEmbeddings.open(folder)
        _checked_once(folder, lambda: TokenEmbeddings.verify(folder))
        return found
    except (NotFoundError, FileNotFoundError):
        return None
    except CorruptDataError as error:
        if mend:
            _throw_away(folder, error)
        return None


def _throw_away(folder: Path, error: Exception) -> None:
    warnings.warn(f"What was kept in the cache cannot be used and is made again: {error}", stacklevel=2)
    shutil.rmtree(folder, ignore_errors=True)


def _kept_or_made(folder: Path, make: Callable[[], TokenEmbeddings]) -> tuple[TokenEmbeddings, bool]:
    """Open what was kept, or make it and keep it; of several processes one makes it and the others wait for it.

    Args:
        folder: Folder of the entry.
        make: Makes what it should hold.

    Returns:
        The embeddings, and whether they were opened rather than made.
    """
    found = _kept(folder, mend=False)
    if found is not None:
        return found, True
    with storage.file_lock(folder.with_name(f"{folder.name}.lock")):
        found = _kept(folder, mend=True)
        if found is not None:
            return found, True
        made = make()
        try:
            made.save(folder)
        except StorageError as error:  # a cache: whoever asked gets the embeddings all the same
            warnings.warn(f"The embeddings are not kept for next time: {error}", stacklevel=2)
            return made, False
        shutil.rmtree(_blocks_folder(folder), ignore_errors=True)
        return TokenEmbeddings.open(folder), False


def _blocks_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.blocks")


Blocks = Callable[[Mapping[int, Sequence[str]], Progress], Iterator[tuple[int, TokenEmbeddings]]]


def _made_in_blocks(texts: Sequence[str], encode: Blocks, progress: Progress | None, folder: Path) -> TokenEmbeddings:
    """Encode at least one text, keeping each finished block, so that what is interrupted goes on where it stopped."""
    starts = range(0, len(texts), BLOCK_TEXTS)
    places = {start: _blocks_folder(folder) / f"{start:08d}" for start in starts}
    found = {start: kept for start in starts if (kept := _kept(places[start], mend=True)) is not None}
    missing = {start: texts[start : start + BLOCK_TEXTS] for start in starts if start not in found}
    known = sum(map(len, found.values()))

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(known + done, len(texts))

    for start, block in encode(missing, report):
        found[start] = block
        if len(texts) > BLOCK_TEXTS:
            with contextlib.suppress(StorageError):
                block.save(places[start])
    blocks = [found[start] for start in starts]
    return blocks[0] if len(blocks) == 1 else TokenEmbeddings.join(blocks)


def _encode_each(
    encoder: Encoder, blocks: Mapping[int, Sequence[str]], task: Task, progress: Progress
) -> Iterator[tuple[int, TokenEmbeddings]]:
    """Encode blocks one after the other, or as they come from an encoder that shares them out."""
    if isinstance(encoder, SpreadEncoder):
        names = list(blocks)
        for number, block in encoder.encode_blocks(list(blocks.values()), task, progress):
            yield names[number], block
        return
    encode = encoder.encode_query if task == "query" else encoder.encode_document
    before, total = 0, sum(map(len, blocks.values()))
    for start, texts in blocks.items():
        yield start, encode(texts, progress=lambda done, _, before=before: progress(before + done, total))
        before += len(texts)


def cached_vectors(
    source: Sequence[str],
    texts: Sequence[str],
    make: Callable[[Sequence[str], Progress], np.ndarray],
    progress: Progress | None = None,
) -> np.ndarray:
    """One vector a text, made or opened from the last time.

    Args:
        source: What decides them beside the texts.
        texts: n texts, at least one.
        make: Makes those of some texts, float32 [texts, dim], and reports (texts done, texts) meanwhile.
        progress: Called with (texts done, n); not called when nothing is made.

    Returns:
        float32 [n, dim].
    """
    folder = data_folder("cache", "embeddings") / content_key(*source, *texts)

    def encode(missing: Mapping[int, Sequence[str]], report: Progress) -> Iterator[tuple[int, TokenEmbeddings]]:
        before, total = 0, sum(map(len, missing.values()))
        for start, part in missing.items():
            vectors = make(part, lambda done, _, before=before: report(before + done, total))
            yield start, TokenEmbeddings(vectors, np.arange(len(part) + 1))
            before += len(part)

    return _kept_or_made(folder, lambda: _made_in_blocks(texts, encode, progress, folder))[0].values


def cached_pictures(encoder: Encoder, digests: Sequence[str], make: Callable[[], TokenEmbeddings]) -> TokenEmbeddings:
    """Vectors of pictures, made or opened from the last time.

    Args:
        encoder: The model.
        digests: A hash of each of n pictures.
        make: Makes them, n documents.

    Returns:
        n documents.
    """
    key = content_key(encoder.fingerprint, encoder.dtype, "pictures", *digests)
    return _kept_or_made(data_folder("cache", "embeddings") / key, make)[0]


def cached_pooled(
    merge: Callable[[], TokenEmbeddings], source: str, settings: PoolSettings, keep: bool = True
) -> tuple[TokenEmbeddings, float | None, bool]:
    """Pool documents, or open what was kept from the last time.

    Args:
        merge: Pools them.
        source: Hash of the documents before pooling.
        settings: How they are pooled.
        keep: Whether they are kept for next time.

    Returns:
        The pooled documents, the seconds that pooling took (None where nobody knows any more), and whether they were
        opened rather than computed.
    """
    folder = data_folder("cache", "pooled") / content_key(source, str(settings))
    seconds: list[float] = []

    def timed() -> TokenEmbeddings:
        start = time.perf_counter()
        pooled = merge()
        seconds.append(time.perf_counter() - start)
        return pooled

    if not keep and (found := _kept(folder, mend=False)) is None:
        return timed(), seconds[0], False
    found, kept = _kept_or_made(folder, timed)
    if kept:
        return found, _seconds_of(folder), True
    _remember_seconds(folder, seconds[0])
    return found, seconds[0], False


def _remember_seconds(folder: Path, seconds: float) -> None:
    """Keep beside a folder what making it took, for records of runs that find it there."""
    with contextlib.suppress(StorageError):
        storage.replace_text(folder.with_name(f"{folder.name}.seconds"), f"{seconds:.6f}")


def _seconds_of(folder: Path) -> float | None:
    try:
        return float(folder.with_name(f"{folder.name}.seconds").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def kept_arrays(folder: Path, kind: str, *names: str) -> tuple[np.ndarray, ...] | None:
    """Read arrays that `keep_arrays` kept; None where there are none, or damaged ones, which are removed."""
    try:
        manifest = storage.read_manifest(folder, kind)
        return tuple(np.array(storage.open_array(folder, manifest, name, mmap=False)) for name in names)
    except NotFoundError:
        return None
    except CorruptDataError:
        shutil.rmtree(folder, ignore_errors=True)  # a cache: what is damaged is made again
        return None


def keep_arrays(folder: Path, kind: str, arrays: dict[str, np.ndarray]) -> None:
    """Keep arrays by name, unless another process is about to keep the same."""
    with contextlib.suppress(BusyError), storage.writer_lock(folder):
        storage.commit(folder, kind, {}, arrays)


def cached_index(
    kind: str,
    ids: Sequence[str],
    documents: TokenEmbeddings,
    /,
    scratch: Path | None = None,
    told: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> tuple[Index, float | None, bool]:
    """Build an index, or open the one kept from the last time; search settings do not make another one.

    Args:
        kind: A kind of index.
        ids: n ids.
        documents: n documents.
        scratch: A folder to keep it in instead of the cache, for as long as the caller wants it.
        told: Called with (documents done, n) on the way of a build, by the kinds that know how far they are.
        settings: Settings of the kind.

    Returns:
        The index, the seconds that building took (None where nobody knows any more), and whether it was opened rather
        than built.
    """
    found = index_class(kind, settings)
    parsed = asdict(found.parse_settings(settings))
    searching = {name: parsed.pop(name) for name in found.search_settings}
    values = hashlib.blake2b(np.ascontiguousarray(documents.values).data, digest_size=10).hexdigest()
    key = content_key(kind, parsed, documents.fingerprint or "", documents.lengths.tolist(), values, *ids)
    folder = (scratch or data_folder("cache", "indexes")) / f"{kind}-{key}"
    with storage.file_lock(folder.with_name(f"{folder.name}.lock")):  # a second process waits for the first one's index
        try:
            index = spread_index(open_index(folder))
            _checked_once(folder, index.verify)
            if len(index) == len(ids):
                return _tuned(index, searching), _seconds_of(folder), True
        except NotFoundError:
            pass
        except CorruptDataError as error:
            _throw_away(folder, error)
        shutil.rmtree(folder, ignore_errors=True)  # an interrupted build
        with new_index(kind, folder, **parsed) as created:
            index, start = spread_index(created), time.perf_counter()
            if told is not None:
                index.progress = lambda done: told(int(done.share * len(ids)), len(ids))
            index.add(list(ids), documents)
            index.progress = None
            seconds = time.perf_counter() - start
        _remember_seconds(folder, seconds)
    return _tuned(index, searching), seconds, False


def _tuned(index: Index, settings: dict[str, Any]) -> Index:
    return index.tuned(**settings) if settings else index


def searched_bytes(index: Index) -> int | None:
    """Bytes of the files that a search reads, the one size that all tables show; None where they are elsewhere."""
    described = index.describe()
    if described.get("elsewhere"):
        return None
    return described["bytes"] - index.unread_bytes
