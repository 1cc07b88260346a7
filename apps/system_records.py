"""What the page Systems draws, as JSON values: rows, the answer, the frontier, and two systems side by side."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.plotting import drawn
from apps.text import visible
from engine import Collection, Ranking
from engine.metrics import metric_name
from engine.statistics import NOTICEABLE, moved, paired
from workbench.experiments.views.systems import SystemRow
from workbench.figures import Axis, frontier, query_differences
from workbench.runs.record import EXACT
from workbench.systems import System, parse_system
from workbench.systems.lost import SystemLosses
from workbench.systems.text import late
from workbench.systems.tracing import SystemTrace
from workbench.systems.worth import METRIC, added, worth

COSTS = {
    "p50": Axis("time of a question", "ms"),
    "bytes": Axis("size of what is searched", "MB", 1e-6),
    "build": Axis("time to build", "s"),
}
LATE, OTHER = "with late interaction", "without"
MOST = 20  # questions that a list shows
DEPTH = 100  # results that are looked at for the reasons of one question
SNIPPET = 600  # characters of a document


def system_row(row: SystemRow, number: int, beside: bool = False) -> dict[str, Any]:
    """One measured system.

    Args:
        row: Of a comparison.
        number: Its place among the rows, which gives its letter.
        beside: Whether something else kept the machine busy meanwhile.

    Returns:
        Its numbers (None where nothing was measured), its stages and notes.
    """
    told = row.to_dict()
    means = {
        name: [told[name], *ends] for name, ends in told.get("intervals", {}).items() if not name.startswith(EXACT)
    }
    alone = [] if not beside else ["Measured beside a training on this machine: alone it takes less time."]
    return {
        "letter": letter(number), "name": visible(row.text), "late": row.late, "means": means,
        "p50": told.get("p50_ms"), "p95": told.get("p95_ms"), "bytes": told.get("bytes"), "build": told.get("build_s"),
        "stages": [
            {**stage, "stage": visible(stage["stage"]), "options": _words(stage.get("options", {}))}
            for stage in told.get("stages", [])
        ],
        "notes": [*map(visible, told.get("notes", [])), *alone], "error": visible(row.error),
    }  # fmt: skip


def letter(number: int) -> str:
    """A, B, ... of a row."""
    return string.ascii_uppercase[number % 26] + (str(number // 26) if number >= 26 else "")


def _words(options: Mapping[str, Any]) -> dict[str, str]:
    """Options in words; what an option holds stands beside the others."""
    held = {name: value for option in options.values() if isinstance(option, Mapping) for name, value in option.items()}
    flat = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    return {name: visible(str(value)) for name, value in {**held, **flat}.items()}


def frontiers(shown: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Quality against each cost, of the rows that have both: "metric", "cost", their labels, and the "figure"."""
    metrics = list(dict.fromkeys(metric for row in shown for metric in row["means"]))
    found = []
    for metric in metrics:
        for cost, axis in COSTS.items():
            points = [
                {"name": row["name"], "mark": row["letter"], "group": LATE if row["late"] else OTHER, cost: row[cost],
                 metric: row["means"][metric][0], "interval": row["means"][metric][1:]}
                for row in shown if metric in row["means"] and row[cost] is not None
            ]  # fmt: skip
            if points and all(point[cost] > 0 for point in points):
                figure = frontier(
                    sorted(points, key=lambda point: point["group"]), cost, metric, group="group", mark="mark",
                    axes={cost: axis}, joined=False,
                    note="Lines: 95% intervals. The grey line joins the systems that no other beats on both axes.",
                )  # fmt: skip
                found.append(
                    {"metric": metric, "cost": cost, "label": f"{metric_name(metric)} against {axis.title}",
                     "figure": drawn(figure)}
                )  # fmt: skip
    return found


def answer(rows: Sequence[SystemRow]) -> dict[str, Any]:
    """The answer to the question of the page, and what each last stage adds; nothing while a side is missing."""
    found = worth(rows)
    return {
        "answer": visible(found.answer) if found else "",
        "details": visible(found.details) if found else "",
        "pair": [visible(found.other), visible(found.late)] if found else [],
        "added": [visible(str(gain)) for gain in added(rows)],
    }


def pair_record(first: SystemRow, second: SystemRow, collection: Collection, metric: str = METRIC) -> dict[str, Any]:
    """Two systems question by question.

    Args:
        first: A row of a comparison.
        second: Another one, of the same questions.
        collection: Holds their texts.
        metric: What is compared.

    Returns:
        The difference in words, the "figure", and the questions that each wins, those that differ most first.
    """
    before, after = first.per_query[metric], second.per_query[metric]
    better, worse = moved(before, after)
    names = visible(first.name), visible(second.name)
    texts = {query: visible(collection.queries[query]) for query in before}
    mean, low, high = paired(before, after)

    def won(queries: Sequence[str]) -> dict[str, Any]:
        most = [{"query": query, "text": texts[query], "values": [before[query], after[query]]}
                for query in queries[:MOST]]  # fmt: skip
        return {"count": len(queries), "questions": most}

    return {
        "names": names, "metric": metric_name(metric), "difference": [mean, low, high], "threshold": NOTICEABLE,
        "wins": [won(worse), won(better)],
        "queries": len(before),
        "figure": drawn(query_differences(before, after, names, metric, queries=texts)),
    }  # fmt: skip


def reasons_record(systems: Sequence[System], query: str, collection: Collection) -> dict[str, Any]:
    """Why two systems answer a question differently.

    Args:
        systems: Two, built over the collection.
        query: A judged question.
        collection: Texts and judgements.

    Returns:
        The question; for each system its first results with their grades; and the relevant documents with their rank
        in both, the one that differs most first, with the words that explain it where a stage adds words up.
    """
    question, grades = collection.queries[query], collection.qrels.get(query, {})
    rankings = [system.search([question], DEPTH)[0] for system in systems]
    relevant = sorted((name for name, grade in grades.items() if grade > 0), key=lambda name: _apart(rankings, name))
    firsts = [ranking.ids[0] for ranking in rankings if len(ranking)]
    chosen = [name for name in dict.fromkeys([*relevant[:3], *firsts]) if name in collection.documents]

    def named(name: str) -> dict[str, Any]:
        return {"document": name, "shown": visible(name), "grade": grades.get(name, 0)}

    return {
        "query": query, "text": visible(question), "names": [visible(system.text) for system in systems],
        "late": [late(parse_system(system.text)) for system in systems],
        "results": [[named(name) for name in ranking.ids[:10]] for ranking in rankings],
        "depth": DEPTH, "relevant": len(relevant),
        "documents": [
            {**named(name), "ranks": [_rank(ranking, name) for ranking in rankings],
             "text": visible(_beginning(collection.documents[name])),
             "words": [_reasons(system, question, name) for system in systems]}
            for name in chosen
        ],
    }  # fmt: skip


def passage_record(found: SystemTrace) -> dict[str, Any]:
    """One document's way through the stages of a system.

    Args:
        found: What each stage did with it.

    Returns:
        The stages in order as `LIW.parts.stages` draws them, and in words what became of the document.
    """
    if found.rank is not None:
        verdict = f"Found: it is result {found.rank} of {found.k}."
    else:
        verdict = f"Lost at {found.lost_at}. To win it back: {found.remedy}."
    return {
        "verdict": visible(verdict), "rank": found.rank, "document": found.document,
        "stages": [
            {"name": visible(stage.stage), "setting": "", "limit": 0, "entered": stage.entered, "kept": stage.sent,
             "score": stage.score or 0.0, "rank": stage.rank, "survived": stage.survived,
             "explained": "" if stage.came else "it did not come here; its rank is what it would have had"}
            for stage in found.stages
        ],
    }  # fmt: skip


def losses_record(found: SystemLosses) -> dict[str, Any]:
    """Where a system loses relevant documents: a sentence, and a row a stage."""
    return {
        "text": visible(str(found)),
        "stages": [
            {"stage": visible(stage.stage), "lost": stage.lost, "share": stage.share, "queries": stage.queries,
             "back": stage.back, "depth": stage.depth}
            for stage in found.stages
        ],
    }  # fmt: skip


def _beginning(text: str) -> str:
    return text if len(text) <= SNIPPET else f"{text[:SNIPPET]}…"


def _apart(rankings: Sequence[Ranking], name: str) -> tuple[float, str]:
    """Order of relevant documents: those whose places differ most first, by reciprocal rank."""
    values = [1 / (rank or np.inf) for rank in (_rank(ranking, name) for ranking in rankings)]
    return -abs(values[0] - values[-1]), name


def _rank(ranking: Ranking, name: str) -> int | None:
    return ranking.ids.index(name) + 1 if name in ranking.ids else None


def _reasons(system: System, question: str, name: str) -> list[dict[str, Any]]:
    """Stages that add words up: their text, and each word with what it adds."""
    return [
        {"stage": visible(stage), "words": [[visible(word), value] for word, value in words]}
        for stage, words in system.reasons(question, name).items()
    ]
