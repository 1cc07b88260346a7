"""The command `trace`: where one document was lost, or where all that were lost went."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from engine.errors import InputError
from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    JsonOption,
    KOption,
    ModelOption,
    SystemOption,
    checked_system,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table

if TYPE_CHECKING:
    from engine.indexes.trace import Trace
    from workbench.systems import System
    from workbench.systems.lost_in_index import IndexLosses
    from workbench.workspace import Workspace

SHOWN = 10  # lost documents that are named


def trace(
    context: typer.Context,
    question: Annotated[
        str | None, Argument(help="A question, or the id of one of the collection's; none traces all that are judged.")
    ] = None,
    document: Annotated[str | None, Argument(help="The id of the document to follow.")] = None,
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: Annotated[str, Option(help="Kind of index with its settings: plaid, or plaid:bits=2,n_probe=1.")] = "plaid",
    system: SystemOption = "",
    k: KOption = 10,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Follow a document through the stages of a search, to the one that lost it; without a question, all relevant ones.

    Example: `workbench trace "remove spaces at both ends of a string" str.strip --index plaid`
    """
    from workbench.experiments.plan import parse_spec
    from workbench.workspace import open_workspace

    (kind, settings), system = parse_spec(index), checked_system(context, system, "index")
    if question is not None and not question.strip():
        raise InputError("Expected a question, got an empty one: type a few words.")
    if question is not None and document is None:
        raise InputError("Expected the id of a document after the question: name the one to follow.")
    with progress_bars() as report:
        workspace = open_workspace(collection, model, kind, report, device, settings, system=system)
    if workspace.system is not None:
        _through_system(workspace.system, question, document, k, as_json)
    elif question is None or document is None:
        _all(workspace, k, as_json)
    else:
        _one(workspace, question, document, k, as_json)


def _through_system(system: System, question: str | None, document: str | None, k: int, as_json: bool) -> None:
    from workbench.cli.systems import trace_all, trace_one

    if question is None or document is None:
        trace_all(system, k, as_json)
    else:
        trace_one(system, system.collection.queries.get(question, question), document, k, as_json)


def _one(workspace: Workspace, question: str, document: str, k: int, as_json: bool) -> None:
    from workbench.answers import follow, traced_values

    asked = workspace.collection.queries.get(question, question)
    found = follow(workspace, asked, document, k, workspace.documents)
    if as_json:
        show_json(traced_values(asked, found))
        return
    rows = [
        (
            stage.name, f"{stage.setting} = {stage.limit:g}", f"{stage.entered:,}", f"{stage.kept:,}",
            "" if stage.score is None else f"{stage.score:.3f}", stage.rank, "stays" if stage.survived else "is cut",
        )
        for stage in found.stages
    ]  # fmt: skip
    show_table(
        asked, ("stage", "setting", "documents\nin", "out", "its\nscore", "its\nrank", f"document\n{document}"), rows
    )
    out.print(_verdict(found, len(workspace.index)), soft_wrap=True)
    for sentence in found.notes:
        note(sentence)


def _verdict(found: Trace, documents: int) -> str:
    """What became of the document, in a sentence or two."""
    from workbench.systems.lost_in_index import MODEL, REMEDIES, blame, remedy

    if found.rank is not None:
        return f"{found.document} is result {found.rank} of {found.k}."
    ranks = (
        f"Exact MaxSim ranks it {found.original_rank:,} of {documents:,}, on the stored vectors {found.stored_rank:,}."
    )
    if found.original_rank is not None and found.original_rank > found.k:
        why = f"{found.document} was not found: exact search does not return it either."
        return f"{why} {ranks} {REMEDIES[MODEL].capitalize()}."
    stage, setting = blame(found)
    return f"{found.document} was lost to {stage}. {ranks} To win it back: {remedy(setting, found)}."


def _all(workspace: Workspace, k: int, as_json: bool) -> None:
    from workbench.experiments.progress import Steps
    from workbench.systems.lost_in_index import lost_documents, won_back

    collection = workspace.collection
    with progress_bars() as report:
        queries, _ = workspace.prepared.encode("query", Steps(report))
        found = lost_documents(
            workspace.index, collection, workspace.documents, queries, k,
            progress=report,
        )  # fmt: skip
        returns = won_back(workspace.index, collection, queries, found)
    if as_json:
        lost = [{name: value for name, value in vars(entry).items() if name != "trace"} for entry in found.lost]
        show_json({"k": k, "relevant": found.relevant, "found": found.found, "costs": [asdict(c) for c in found.stages],
                   "lost": lost, "won_back": returns})  # fmt: skip
        return
    _show_costs(found, collection.name, returns)


def _show_costs(found: IndexLosses, name: str, returns: list[tuple[dict[str, Any], int]]) -> None:
    from workbench.experiments.plan import format_spec
    from workbench.systems.lost_in_index import MODEL, lost_by_index

    rows = [(c.stage, f"{c.lost:,}", f"{c.share:.1%}", f"{c.queries:,}", c.remedy) for c in found.stages]
    title = f"{name}: relevant documents that are not among the first {found.k}"
    show_table(title, ("lost to", "documents", "of all\nrelevant", "questions", "what wins them back"), rows)
    by_index = lost_by_index(found)
    out.print(
        f"Of {found.relevant:,} relevant documents {found.found:,} are found; the index lost {by_index:,} that exact "
        f"search returns.", soft_wrap=True,
    )  # fmt: skip
    reachable = sum(entry.rank_stored is not None and entry.rank_stored <= found.k for entry in found.lost)
    for settings, number in returns:
        spec = format_spec("", settings).lstrip(":")
        out.print(f"With {spec}: {number} of the {reachable} that more search can win back.")
    named = [entry for entry in found.lost if entry.stage != MODEL]
    for entry in named[:SHOWN]:
        note(f"question {entry.query}, document {entry.document}: {entry.stage}, rank {entry.rank_exact} in exact "
             f"search, {entry.rank_stored} on stored vectors")  # fmt: skip
    if len(named) > SHOWN:
        note(f"{len(named) - SHOWN} more: --json names all.")
