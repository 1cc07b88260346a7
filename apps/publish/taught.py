"""What the lessons of a site hold finished: all that a browser does not compute by itself."""

from __future__ import annotations

from collections.abc import Callable

from apps.lessons import lessons
from apps.pages.learn import CELLS, LOST, LearnPage
from apps.publish.finished import Answers, key
from apps.workspaces import Workspaces

MOST_LOST = 30  # that the page lists


def lesson_answers(workspaces: Workspaces, whole: bool, told: Callable[[int, int], None]) -> Answers:
    """What the page Lessons asks.

    Args:
        workspaces: The workspace is the first.
        whole: With what each figure shows first; without it a browser that has the model computes it.
        told: Called with (figures done, all).

    Returns:
        The answers.
    """
    page = LearnPage(workspaces)
    start = page.start({})
    answers: Answers = [(key("start", {}), start)]
    for lesson in lessons():
        asking = {"name": lesson["notebook"]}
        answers.append((key("notebook", asking), page.notebook(asking)))
        if whole and lesson["texts"]:
            wanted = {"question": lesson["question"], "texts": lesson["texts"]}
            answers.append((key("compare", wanted), page.compare(wanted)))
    told(1, 4)
    for factor in start["factors"] if start["document"] else ():
        asking = {"document": start["document"], "factor": factor, "method": "hierarchical"}
        answers.append((key("merge", asking), page.merge(asking)))
    told(2, 4)
    for example in start["examples"]:
        answers.append((key("trace", {**example, "kind": CELLS}), page.trace({**example, "kind": CELLS})))
    lost = page.lost({})
    answers.append((key("lost", {}), lost))
    for entry in lost.get("lost", ())[:MOST_LOST]:
        asking = {"question": entry["question"], "document": entry["document"], "kind": LOST}
        answers.append((key("trace", asking), page.trace(asking)))
    told(3, 4)
    probed = page.probe({})
    answers.append((key("probe", {}), probed))
    for pair in probed.get("pairs", ()) if whole else ():
        wanted = {"question": pair["question"], "texts": [pair["right"], pair["wrong"]]}
        answers.append((key("compare", wanted), page.compare(wanted)))
    told(4, 4)
    return list(dict(answers).items())
