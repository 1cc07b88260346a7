"""One task of mteb by mteb itself, with our search: a result in its own format, kept where it keeps them."""

from __future__ import annotations

from typing import Any

from engine import Encoder
from engine.errors import InputError, NotFoundError
from engine.reading.mteb_tasks import find_task, task_data
from workbench.benchmarks.mteb import SearchModel, result_cache
from workbench.experiments.plan import format_spec


def score_task(name: str, model: str, choice: dict[str, Any], device: str, force: bool) -> tuple[dict[str, Any], bool]:
    """Evaluate a task by `mteb.evaluate`; a result that is kept is not computed again.

    Args:
        name: Of the task, with a subset behind a slash where it has several.
        model: For `Encoder.load`.
        choice: Index, settings, system and pool.
        device: Where the model runs.
        force: Evaluate again what is kept.

    Returns:
        The main score, its name and the file of the result; and whether all documents were searched, rather than
        those that the task gives for each query.

    Raises:
        InputError: a scorer that mteb's search has no place for, or no such subset.
        NotFoundError: no such task, or its data cannot be fetched.
    """
    if choice.get("scorer", "index") != "index":
        raise InputError(
            'mteb ranks by the index or a system: leave the scorer out, or use a system such as "plaid > maxsim".'
        )
    task, subset = find_task(name), name.partition("/")[2]
    import mteb

    if subset:
        if subset not in task.hf_subsets:
            known = ", ".join(task.hf_subsets)
            raise InputError(f"The task {task.metadata.name} has no subset {subset!r}: choose among {known}.")
        task = mteb.get_task(task.metadata.name, hf_subsets=[subset])
    data = task_data(task)
    given = any(split["top_ranked"] is not None for splits in data.values() for split in splits.values())
    system = choice.get("system", "")
    index = "exact" if system else format_spec(choice.get("index", "exact"), choice.get("settings", {}))
    searcher: Any = SearchModel(Encoder.load(model, device=device), index, system, choice.get("pool", ""))
    cache = result_cache()
    found = mteb.evaluate(
        searcher, task, cache=cache, overwrite_strategy="always" if force else "only-missing",
        show_progress_bar=False, co2_tracker=False,
    )  # fmt: skip
    if not found.task_results:
        raise NotFoundError(
            f"mteb gave no result of {task.metadata.name}: {found.exceptions or 'it does not say why'}."
        )
    path = cache.get_task_result_path(task.metadata.name, searcher.mteb_model_meta)
    scored = {"main_score": float(found.task_results[0].get_score()), "metric": task.metadata.main_score}
    return scored | {"file": str(path)}, not given
