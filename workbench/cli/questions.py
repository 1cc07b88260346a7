"""The commands on made questions: `questions` makes them, `check-questions` holds them against a person's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from engine.errors import InputError
from engine.files import require_new
from workbench.cli.options import CollectionOption, JsonOption, SeedOption, Several
from workbench.cli.output import note, out, progress_bars, show_json, show_table


def questions(
    output: Annotated[Path, Option(help="A new folder for the collection with its questions.")],
    collection: CollectionOption = "embedded",
    count: Annotated[int, Option(help="How many questions, at most.", min=1)] = 100,
    questions_from: Annotated[str, Option(help="Address of an OpenAI-compatible server; texts are sent to it.")] = "",
    questions_model: Annotated[str, Option(help="The name of the model on that server.")] = "default",
    dry_run: Annotated[bool, Option("--dry-run", help="Say what would be sent, send and write nothing.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make questions for a collection that has none, from titles and first sentences, or by a model at an address.

    They are marked as made wherever they are used; `workbench check-questions` tells how far they can be trusted.

    Example: `workbench questions --collection papers/ --passages 200:40 --output papers-asked`
    """
    from engine import load_collection
    from workbench.questions import from_texts, with_questions, write_collection
    from workbench.questions.endpoint import Endpoint, from_endpoint
    from workbench.questions.made import chosen_documents

    require_new(output)
    endpoint = Endpoint(questions_from, questions_model) if questions_from else None
    loaded = load_collection(collection)
    if endpoint is None:
        made = from_texts(loaded, count, seed)
    else:
        note(endpoint.told(loaded, chosen_documents(loaded, count, seed)))
        if dry_run:
            return
        with progress_bars() as report:
            made, notes = from_endpoint(
                loaded, endpoint, count, seed, lambda done, total: report("questions", done, total)
            )
        for sentence in notes:
            note(sentence)
    asked = with_questions(loaded, made)
    if not dry_run:
        write_collection(asked, output)
    if as_json:
        show_json({"collection": str(output), **asked.describe()})
        return
    shown = [(question.text, ", ".join(question.documents[:3]), question.how) for question in made[:10]]
    show_table(f"{len(made)} made questions", ("question", "made from", "by"), shown, asked.made_note)
    if not dry_run:
        note(f"Wrote {output}: use it with --collection {output}.")


def check_questions(
    judged: Annotated[
        Path, Option(help="File with the judgements of a person, as JudgingWidget of the notebooks saves them.")
    ],
    runs: Annotated[Several, Argument(help="Runs on the collection, to be put in order.")] = None,
    collection: CollectionOption = "embedded",
    metric: Annotated[str, Option(help="What the runs are ordered by.")] = "ndcg@10",
    output: Annotated[Path | None, Option(help="A new folder: the collection with the person's judgements.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Tell how far made questions can be trusted: a person's judgements of some, and the order of runs under both.

    Example: `workbench check-questions 3f2a 91bc --collection papers-asked --judged judged.tsv`
    """
    from dataclasses import asdict

    from engine import load_collection
    from engine.metrics import check_metrics
    from engine.reading.judgements import read_qrels
    from workbench.questions import judged_by_hand, trust, write_collection
    from workbench.runs import find

    check_metrics([metric])
    if output is not None:
        require_new(output)
    if not judged.is_file():
        raise InputError(f"There is no file {judged}: give the judgements that `JudgingWidget.save` wrote.")
    found = read_qrels(judged).qrels
    loaded = load_collection(collection)
    rankings = {run.id: run.rankings() for run in map(find, runs or [])}
    result = trust(loaded, found, rankings, metric, seed)
    if output is not None:
        note(f"Wrote {write_collection(judged_by_hand(loaded, found), output)}.")
    if as_json:
        show_json({**asdict(result), "sentence": result.sentence})
        return
    rows = [(name, f"{made:.4f}", f"{hand:.4f}") for name, (made, hand) in result.scores.items()]
    if rows:
        show_table(f"{metric} on {result.questions} questions", ("run", "made", "by hand"), rows)
    out.print(result.sentence, soft_wrap=True)
    told = f"agreement on all pairs {result.agreement}, kappa {result.kappa:.2f}"
    note(f"{told}; {result.missed} relevant documents that the made judgements do not know.")
