"""Publish: a collection, its vectors and a model as files that a browser searches by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.publish.codec import BITS
from apps.publish.documents import site_documents
from apps.publish.finished import pool_answers, search_answers, xray_answers
from apps.publish.model import browser_model, browser_tokenizer
from apps.publish.runtime import runtime
from apps.publish.site import check_destination, packed_json, page_file, shared_files, write_site
from apps.publish.size import check_size, estimate_tokens
from apps.publish.taught import lesson_answers
from apps.registry import PAGES
from apps.workspaces import Workspaces
from engine import Collection, Encoder, TokenEmbeddings
from engine.errors import InputError
from engine.pooling import PoolSettings, parse_pool, pooled_tokens
from engine.tokens import Token
from workbench.cache import cached_index
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress, Steps
from workbench.workspace import Workspace

QUESTIONS = 12  # finished ones
PAGES_OF_SITES = ("search", "learn", "pool", "xray")
Files = dict[str, bytes]


@dataclass(frozen=True)
class Published:
    """A site.

    Args:
        folder: Where it lies.
        bytes: Its size.
        documents: How many.
        tokens: Vectors.
        dim: Their dimension.
        bits: Of a coordinate.
        cosine: The least cosine of the browser's question vectors to Python's float32 over the questions compared; None
            without a model.
        pages: Names of its pages.
    """

    folder: Path
    bytes: int
    documents: int
    tokens: int
    dim: int
    bits: int
    cosine: float | None
    pages: tuple[str, ...]


def publish(
    folder: str | Path, collection: str | Collection = "embedded", model: str | Encoder = "embedded",
    dim: int | None = None, pool: str | float = "", bits: int = 8, lessons: bool = True, with_model: bool = True,
    questions: int = QUESTIONS, device: str = "auto", progress: Progress | None = None,
) -> Published:  # fmt: skip
    """Write a site.

    Args:
        folder: A new folder, or that of a site, which is replaced.
        collection: A name or path for `load_collection`, or a collection.
        model: A name or path for `Encoder.load`, or an encoder that computes in float32.
        dim: Leading coordinates of nested vectors; all when None.
        pool: How many vectors of a document stay, as `engine.pooling.parse_pool` reads it: "factor=2", "once".
        bits: Of a coordinate, from 2 to 12.
        lessons: With the lessons.
        with_model: False publishes finished searches only.
        questions: How many questions are finished: searches without a model, and traces.
        device: Where documents are encoded.
        progress: Called with (stage, done, total).

    Returns:
        What was written.

    Raises:
        InputError: a folder that holds other things, bits or pool settings that cannot be, or a collection too large
            for a browser; the sentence says what would fit.
        UnsupportedError: a model that cannot be exported, or a tokenizer that the browser does not know.
        MissingExtraError: npm or a package is missing.
    """
    place, report = Path(folder), progress or (lambda stage, done, total: None)
    check_destination(place)
    if not BITS[0] <= bits <= BITS[1]:
        raise InputError(f"Expected --bits from {BITS[0]} to {BITS[1]}, got {bits}: choose 8, or 4 for half the size.")
    if questions < 1:
        raise InputError(f"Expected at least one finished question, got {questions}: choose 1 or more.")
    pooling = parse_pool(pool)
    prepared = prepare(collection, model, device=device).at_dim(dim)
    if not prepared.collection.documents:
        raise InputError(f"{prepared.collection.name!r} has no documents: there is nothing to publish.")
    if not with_model and not prepared.collection.queries:
        raise InputError(
            f"{prepared.collection.name!r} has no questions, and finished searches need some: give it questions, or "
            "publish with the model."
        )
    prepared.pooler.check(pooling)
    files: Files = {}
    if with_model:
        files |= _checked(prepared, bits, pooling, report)
    prepared.encode("document", Steps(report))
    documents = prepared.pooled(pooling, steps=Steps(report))[0]
    manifest: dict[str, Any] = {"model": None, "documents": None, "answers": {}, "scored_on": ""}
    cosine = None
    if with_model:
        check_size(documents.n_tokens, documents.dim, bits, _encoder(prepared).nested, pooling)
        more, told, cosine = _searched(prepared, _float32(model, dim), documents, pooling, bits, report)
        files |= more
        manifest |= {**told, "fetched": sum(len(data) for name, data in files.items() if not name.endswith(".js"))}
    index = cached_index("exact", list(prepared.collection.documents), documents)[0]
    workspaces = Workspaces(Workspace(prepared, index, pooling=pooling))
    pages = _pages(_answers(workspaces, questions, with_model, lessons, report), manifest)
    size = write_site(place, files | pages | shared_files("pool" in manifest["answers"]), manifest)
    return Published(
        place, size, len(documents), documents.n_tokens, documents.dim, bits, cosine, tuple(manifest["answers"])
    )


def _encoder(prepared: Prepared) -> Encoder:
    assert prepared.encoder is not None
    return prepared.encoder


def _float32(model: str | Encoder, dim: int | None) -> Encoder:
    """The model that is exported: its questions are the reference that the browser is held to."""
    if not isinstance(model, str):
        if model.dtype == "float32" and dim in (None, model.dim):
            return model
        model = model.name
    return Encoder.load(model, device="cpu", dtype="float32", dim=dim)


def _checked(prepared: Prepared, bits: int, pooling: PoolSettings, report: Progress) -> Files:
    """The runtime, once nothing that is known before the work speaks against the site."""
    encoder = _encoder(prepared)
    browser_tokenizer(encoder)
    expected = estimate_tokens(encoder, list(prepared.collection.documents.values()), pooling)
    if expected is not None:
        check_size(expected, prepared.dim, bits, encoder.nested, pooling)
    report("Fetching the runtime", 0, 1)
    found = runtime()
    report("Fetching the runtime", 1, 1)
    return found


def _searched(
    prepared: Prepared, encoder: Encoder, documents: TokenEmbeddings, pooling: PoolSettings, bits: int, report: Progress
) -> tuple[Files, dict[str, Any], float]:
    """The model and the documents as files, what the manifest says of them, and the least cosine of the model."""
    collection = prepared.collection
    texts = list(collection.queries.values()) or [text[:200] for text in collection.documents.values()]
    report("Exporting the model", 0, 1)
    exported = browser_model(encoder, texts)
    report("Exporting the model", 1, 1)
    tokenizer = exported.about.pop("tokenizer")
    packed = site_documents(
        collection, documents, lambda position: _tokens(prepared, position, pooling), bits, tokenizer["vocabulary"],
        lambda done, total: report("Packing documents", done, total),
    )  # fmt: skip
    files = exported.files | packed.files | {"model/tokenizer.json.gz": packed_json(tokenizer)}
    kept = "" if pooling.keeps_all else f", pooled by {pooling}"
    told = {
        "model": exported.about,
        "documents": packed.about,
        "scored_on": f"the {bits}-bit vectors of this site{kept}",
    }
    return files, told, exported.cosine


def _tokens(prepared: Prepared, position: int, pooling: PoolSettings) -> Sequence[Token]:
    if not prepared.documents.lengths[position]:
        return []
    tokens = _encoder(prepared).tokens(list(prepared.collection.documents.values())[position], "document")
    if pooling.keeps_all:
        return tokens
    return pooled_tokens(tokens, prepared.pooler.groups_of(position, pooling))


def _answers(
    workspaces: Workspaces, questions: int, with_model: bool, lessons: bool, report: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """What each page has finished; none for a page that the site does not have."""
    found: dict[str, Any] = {}
    found["search"], asked = search_answers(
        workspaces, questions, not with_model, lambda done, total: report("Finished searches", done, total)
    )
    found["xray"] = xray_answers(workspaces, asked, lambda done, total: report("Traces", done, total))
    found["pool"] = pool_answers(workspaces)
    if lessons:
        found["learn"] = lesson_answers(workspaces, not with_model, lambda done, total: report("Lessons", done, total))
    traced = sorted({entry["q"] for name, value in found["xray"] if name == "questions" for entry in value})
    found["search"][0][1]["traced"] = traced
    return found


def _pages(answers: dict[str, Any], manifest: dict[str, Any]) -> Files:
    """The pages and their answers as files; the manifest is told of them."""
    titles = {page.name: page.title for page in PAGES}
    names = [name for name in PAGES_OF_SITES if answers.get(name)]
    manifest["answers"] = {name: f"answers/{name}.json.gz" for name in names}
    manifest["pages"] = [{"name": titles[name], "path": "" if name == "search" else f"{name}.html"} for name in names]
    files = {manifest["answers"][name]: packed_json(answers[name]) for name in names}
    return files | {
        "index.html" if name == "search" else f"{name}.html": page_file(name, titles[name]) for name in names
    }
