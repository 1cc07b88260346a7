"""The commands that search: `search`, `encode`, `index`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from engine.errors import InputError
from engine.files import require_new
from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    IndexOption,
    JsonOption,
    KOption,
    ModelOption,
    OutputOption,
    PoolOption,
    ScorerOption,
    SystemOption,
    WhereOption,
    checked_system,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table

if TYPE_CHECKING:
    from workbench.workspace import Workspace

SNIPPET = 90  # characters of a document in a table


def search(
    context: typer.Context,
    question: Annotated[str, Argument(help="What to look for.")],
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: IndexOption = "plaid",
    k: KOption = 10,
    scorer: ScorerOption = "index",
    system: SystemOption = "",
    where: WhereOption = "",
    pool: PoolOption = "",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Find the documents for a question, with the query tokens that each score comes from.

    `--index` is a kind of index, or a folder that `workbench index` wrote.

    Example: `workbench search "remove spaces at both ends of a string" --k 5`
    """
    from workbench.answers import found_values

    if not question.strip():
        raise InputError("Expected a question, got an empty one: type a few words.")
    system = checked_system(context, system, "index", "scorer", "pool")
    workspace = opened(collection, model, index, device, scorer, system, where, pool)
    result = workspace.search(question, k, where=where)
    if as_json or output:
        show_json(found_values(workspace, result), output)
        return
    tokens = result.query_tokens  # what the model adds to a question says nothing to who asked it
    own = [i for i, token in enumerate(tokens) if token.kind == "text"] or range(len(tokens))
    rows = []
    for hit in result.hits:
        text = " ".join(hit.text.split())
        best = sorted(own, key=lambda i: -hit.contribution[i])[:3]
        because = ", ".join(f"{tokens[i].text} {hit.contribution[i]:.2f}" for i in best)
        rows.append((f"{hit.rank} {hit.id}", text[:SNIPPET], f"{hit.score:.3f}", because))
    counted = f"{len(workspace.collection.documents):,} documents" if result.among is None else str(result.among)
    caption = f"{counted}, {result.seconds * 1e3:.0f} ms; scored on {result.scored_on}"
    show_table(question, ("document", "text", "score", "strongest tokens"), rows, caption)
    for sentence in filter(None, [*result.notes, result.caveat]):
        note(sentence)


def opened(
    collection: str, model: str, index: str, device: str, scorer: str, system: str, where: str, pool: str
) -> Workspace:
    """What `search` and `explain` work on: a collection and a kind of index, or an index on disk with its documents."""
    from engine.indexes import kinds
    from workbench.experiments.plan import parse_spec
    from workbench.indexed import open_indexed
    from workbench.workspace import open_workspace

    if Path(index).is_dir() and index not in kinds():
        if collection != "embedded":
            raise InputError(f"The index {index} has its own documents: leave --collection out.")
        if pool:
            raise InputError(f"The index {index} has its vectors already: leave --pool out.")
        workspace = open_indexed(index, None if model == "embedded" else model, device, scorer)
        if where.strip():
            workspace.index.check_can("subset")
        return workspace
    kind, settings = parse_spec(index)
    with progress_bars() as report:
        return open_workspace(collection, model, kind, report, device, settings, scorer, system, where, pool)


def encode(
    texts: Annotated[Path, Argument(help="A collection: a folder or a file.", exists=True)],
    destination: Annotated[Path, Argument(help="New folder for the token vectors.")],
    model: ModelOption = "embedded",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Encode the documents of a collection to a folder of token vectors.

    Example: `workbench encode corpus.jsonl vectors/`
    """
    from engine import Encoder, load_collection
    from workbench.elsewhere import spread_encoder
    from workbench.experiments.unread import cut_note

    require_new(destination)
    loaded = load_collection(texts)
    encoder = spread_encoder(Encoder.load(model, device=device))
    start = time.perf_counter()
    with progress_bars() as report:
        documents = encoder.encode_document(
            list(loaded.documents.values()), lambda done, total: report("encode", done, total)
        )
    seconds = time.perf_counter() - start
    documents.save(destination)
    record = {
        "documents": len(documents),
        "tokens": documents.n_tokens,
        "dim": documents.dim,
        "bytes": documents.nbytes,
        "truncated": documents.truncated,
        "unread_share": documents.unread_share,
        "without_vectors": documents.without_vectors,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(documents.n_tokens / seconds),
        "encoder": encoder.describe(),
    }
    if as_json:
        show_json(record)
    else:
        out.print(
            f"{record['documents']:,} documents, {record['tokens']:,} tokens of {documents.dim} dimensions "
            f"({documents.nbytes / 1e6:.1f} MB) in {seconds:.1f} s."
        )
    if documents.truncated:
        note(cut_note("documents", documents, record["encoder"]))
    if documents.without_vectors:
        note(f"{documents.without_vectors} of {len(documents)} documents have nothing to score and are never found.")


def index(
    destination: Annotated[Path, Argument(help="New folder for the index.")],
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    kind: IndexOption = "plaid",
    pool: PoolOption = "",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Build an index over a collection, in a folder that `open_index` reads and `workbench search --index` searches.

    Example: `workbench index my-index/ --collection corpus.jsonl --index plaid`
    """
    from engine.indexes import index_class, new_index
    from engine.pooling import parse_pool
    from workbench.elsewhere import spread_index
    from workbench.experiments.plan import parse_spec
    from workbench.experiments.prepare import prepare
    from workbench.experiments.progress import Steps
    from workbench.indexed import absolute, keep_documents

    name, settings = parse_spec(kind)
    index_class(name, settings).parse_settings(settings)
    index_class(name, settings).check_installed()
    require_new(destination)
    pooling = parse_pool(pool)
    prepared = prepare(collection, model, device=device)
    with progress_bars() as report:
        prepared.pooler.check(pooling)
        prepared.encode("document", Steps(report))
        documents, _, _ = prepared.pooled(pooling, steps=Steps(report))
        report("index", 0, len(documents))
        start = time.perf_counter()
        with new_index(name, destination, **settings) as empty:
            created = spread_index(empty)
            keep_documents(destination, prepared.collection, absolute(model), str(pooling), prepared.cut)
            total = len(documents)
            created.progress = lambda done: report("index", int(done.share * total), total)
            created.add(list(prepared.collection.documents), documents)
        report("index", len(documents), len(documents))
    record = created.describe() | {"build_seconds": round(time.perf_counter() - start, 3)}
    if as_json:
        show_json(record)
    else:
        out.print(
            f"{record['kind']}: {record['documents']:,} documents, {record['tokens']:,} tokens, "
            f"{record['bytes'] / 1e6:.1f} MB ({record['bytes_per_token']:.1f} bytes a token), "
            f"built in {record['build_seconds']:.1f} s."
        )
