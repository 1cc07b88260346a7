"""What a site holds finished: answers of the pages' own functions, under the keys by which a page asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.pages.pool import PoolPage
from apps.pages.search import GRADES, SearchFunctions
from apps.pages.xray import XrayPage
from apps.pool_records import factor_row, pool_figure
from apps.workspaces import Workspaces
from engine.evaluation import DEFAULT_METRICS
from engine.pooling import METHODS
from workbench.experiments.execute import is_kept
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import FACTORS
from workbench.experiments.pool_studies import planned, pool_study
from workbench.experiments.views.pooling import PoolPoint
from workbench.workspace import Workspace

Answers = list[tuple[str, Any]]
TRACED = "plaid"  # the index that a site looks into
MOST_TRACES = 2  # relevant documents of a question


def key(name: str, request: Mapping[str, Any]) -> str:
    """The key of an answer, as `browser/site.js` writes it: what is empty is left out, names in order."""
    told = {field: value for field, value in sorted(request.items()) if value != ""}
    return f"{name} {json.dumps(told, separators=(',', ':'), ensure_ascii=False)}"


def chosen_questions(workspace: Workspace, examples: Sequence[str], most: int) -> list[str]:
    """The questions whose answers are finished: the examples of the page, then those with judgements, then the others.

    Args:
        workspace: Whose collection has them.
        examples: Of the search page.
        most: How many.

    Returns:
        Texts.
    """
    collection = workspace.collection
    judged = [collection.queries[name] for name in collection.judged_queries]
    return list(dict.fromkeys([*examples, *judged, *collection.queries.values()]))[:most]


def search_answers(
    workspaces: Workspaces, questions: int, whole: bool, told: Callable[[int, int], None]
) -> tuple[Answers, list[str]]:
    """What the search page asks.

    Args:
        workspaces: The workspace is the first.
        questions: How many are finished.
        whole: With the results and explanations of each; without them a browser that has the model answers.
        told: Called with (questions done, all).

    Returns:
        The answers, and the questions.
    """
    page = SearchFunctions(workspaces)
    start = page.start({})
    asked = chosen_questions(workspaces.first, start["examples"], questions)
    start |= {"models": [], "scorers": start["scorers"][:1], "scorer": start["scorers"][0]["name"]}
    if not whole:
        start["scorers"] = [{"name": start["scorer"], "about": ""}]
    answers: Answers = [(key("start", {}), start)]
    for done, question in enumerate(asked if whole else [], start=1):
        found = page.search({"question": question})
        if "error" not in found:
            found["found"]["seconds"] = 0  # of this machine, and no two are the same
            answers.append((key("search", {"question": question}), found))
            for hit in found["found"]["hits"]:
                asking = {"question": question, "document": hit["id"]}
                pair = page.explain(asking)
                answers.append((key("explain", asking), pair))
                answers.append((key("search", asking), {**found, **pair}))
        told(done, len(asked))
    if whole:
        answers.append(("questions", [{"q": text, "text": text} for text in asked]))
    return answers, asked


def xray_answers(workspaces: Workspaces, questions: Sequence[str], told: Callable[[int, int], None]) -> Answers:
    """What the page X-ray asks: traces of chosen questions, and where the collection loses documents.

    Args:
        workspaces: The workspace is the first.
        questions: Texts.
        told: Called with (questions done, all).

    Returns:
        The answers; none where no question is chosen.
    """
    page, collection = XrayPage(workspaces), workspaces.first.collection
    start = {**page.start({}), "kinds": [TRACED]}
    names = {text: name for name, text in collection.queries.items()}
    answers: Answers = []
    listed: list[dict[str, str]] = []
    for done, question in enumerate(questions, start=1):
        grades = collection.qrels.get(names.get(question, ""), {})
        best = sorted((name for name in grades if grades[name] > 0), key=lambda name, grades=grades: -grades[name])
        for document in best[:MOST_TRACES] or [hit.id for hit in workspaces.first.search(question, 1).hits]:
            asking = {"question": question, "document": document, "kind": TRACED}
            traced = page.trace(asking)
            if "error" in traced:
                continue
            answers.append((key("trace", asking), traced))
            grade = GRADES.get(min(grades.get(document, 0), 2), "")
            listed.append(
                {"q": question, "doc": document, "text": f"{question} ({document}{', ' * bool(grade)}{grade})"}
            )
        told(done, len(questions))
    if not listed:
        return []
    value = {"survey": {"status": "empty", "step": "", "error": "", "report": None}}
    if collection.judged_queries:
        for found in page.survey({"kind": TRACED}, "publish"):
            value = found
    start |= {"question": listed[0]["q"], "document": listed[0]["doc"]}
    report = value["survey"].get("report") or {}
    answers += _lost(page, report)
    return [(key("start", {}), start), ("value", value), ("questions", listed), *answers]


def _lost(page: XrayPage, report: Mapping[str, Any]) -> Answers:
    """Traces of the documents that the survey lists first, so that a reader can follow them."""
    found: Answers = []
    for entry in list(report.get("lost", ()))[:10]:
        asking = {"question": entry["question"], "document": entry["document"], "kind": TRACED}
        found.append((key("trace", asking), page.trace(asking)))
    return found


def pool_answers(workspaces: Workspaces) -> Answers:
    """What the page Pool factor asks of a study that was measured before; none where there is no finished one.

    Args:
        workspaces: The workspace is the first.

    Returns:
        The answers.
    """
    workspace = workspaces.first
    prepared, collection = workspace.prepared, workspace.collection
    if not collection.judged_queries:
        return []
    base = Experiment(**{  # as `pool_study` has it
        **prepared.experiment().to_dict(), "metrics": tuple(DEFAULT_METRICS), "index": "exact", "settings": {},
        "pool_protected": 1, "k": 100, "seed": 0,
    })  # fmt: skip
    method = METHODS[0]
    wanted = planned(base, FACTORS, (method,), (), (), (), ())
    if not all(is_kept(experiment, prepared) for experiment in wanted):
        return []
    page = PoolPage(workspaces)
    start = page.start({})
    points: list[PoolPoint] = list(pool_study(prepared, FACTORS, (method,)))
    rows = [factor_row(point, points[0], collection) for point in points]
    study = {
        "method": method, "index": "exact", "status": "done", "rows": rows, "done": len(rows), "total": len(rows),
        "next": "", "error": "", "seconds": 0, "figure": pool_figure(points),
    }  # fmt: skip
    start |= {"methods": [method], "indexes": ["exact"], "study": study}
    answers: Answers = [(key("start", {}), start), ("value", {"study": study})]
    for row in rows:
        asking = {"document": start["document"], "factor": row["label"], "method": method}
        answers.append((key("merge", asking), page.merge(asking)))
    return answers
