"""A benchmark's result as a table and as a file that others can read and rerun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.machine import machine, versions
from engine.metrics import metric_name
from workbench.benchmarks.run import BenchmarkResult, TaskResult
from workbench.exports import Strong, markdown_table

PACKAGES = ("mteb", "datasets", "ranx")


def columns(result: BenchmarkResult) -> tuple[str, ...]:
    """Heads of the table: the task, ours with its interval, what others published, cost."""
    ours = "mteb's own" if any(task.mteb for task in result.tasks) else ""
    others = tuple(entry.model.partition("/")[2] for entry in result.published)
    metrics = list(dict.fromkeys(metric_name(task.metric) for task in result.measured))
    named = f"{' or '.join(metrics) or 'score'} (95%)"
    cost = ("documents", "queries", "p50 ms", "MB")
    return ("task", named, *((ours,) if ours else ()), *others, *cost)


def rows(result: BenchmarkResult) -> list[tuple[str, ...]]:
    """One row a task, then the mean of those that were measured."""
    found = [_row(task, result) for task in result.tasks]
    if len(result.measured) > 1 and (mean := result.mean) is not None:
        width = len(columns(result))
        found.append((f"mean of {len(result.measured)}", str(mean), *[""] * (width - 2)))
    return found


def _row(task: TaskResult, result: BenchmarkResult) -> tuple[str, ...]:
    own = (f"{task.mteb['main_score']:.3f} {task.mteb['metric']}" if task.mteb else "",)
    own = own if any(other.mteb for other in result.tasks) else ()
    others = tuple(f"{entry.values[task.task]:.3f}" if task.task in entry.values else "" for entry in result.published)
    if task.run is None:
        return (task.task, "scored by mteb" if task.mteb else "not measured", *own, *others, "", "", "", "")
    record = task.run.record
    size = "" if task.run.bytes is None else f"{task.run.bytes / 1e6:,.1f}"
    cost = (f"{record['collection']['documents']:,}", f"{record['judged']:,}", f"{task.run.p50_ms:.1f}", size)
    return (task.task, str(task.interval), *own, *others, *cost)


def sentences(result: BenchmarkResult) -> list[str]:
    """What a reader of the table has to know."""
    found = [f"{task.task} was not measured: {task.problem}" for task in result.tasks if task.problem]
    if len(result.measured) < len(result.tasks) and result.mean is not None:
        found.append("The mean is over the tasks that were measured.")
    for entry in result.published:
        found.append(f"{entry.model}: nDCG@10 as published at {entry.source}.")
    found += [f"mteb's result of {task.task} is {task.mteb['file']}." for task in result.tasks if task.mteb]
    return found


def write_report(result: BenchmarkResult, command: Sequence[str], path: Path) -> str:
    """The text of a report: JSON where the file ends so, else Markdown.

    Args:
        result: What was measured.
        command: The words that repeat it.
        path: Its suffix decides the form.

    Returns:
        The text.
    """
    if path.suffix.lower() == ".json":
        record = {"command": list(command), "versions": versions(PACKAGES), "machine": machine(), **result.to_dict()}
        return json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n"
    head = columns(result)
    table = [(Strong(row[0]) if row[0].startswith("mean of") else row[0], *row[1:]) for row in rows(result)]
    lines = [
        f"# {result.benchmark.name}: {result.model}", "", f"Searched with {_searched(result)}.", "",
        markdown_table(head, table),
        "Each task is a run; the intervals are bootstraps over its queries. Times are of the machine below.", "",
        *(f"- {sentence}" for sentence in sentences(result)), "",
        "## To run it again", "", f"```\n{' '.join(map(_quoted, command))}\n```", "",
        "| task | run | what decides its texts and judgements | model |", "| --- | --- | --- | --- |",
        *(_identity(task) for task in result.measured), "",
        "## Where it ran", "",
        *(f"- {name} {version}" for name, version in versions(PACKAGES).items()),
        *(f"- {name}: {value}" for name, value in machine().items()), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _identity(task: TaskResult) -> str:
    assert task.run is not None
    record = task.run.record
    return f"| {task.task} | {task.run.id} | {record['collection']['fingerprint']} | {record['model']['fingerprint']} |"


def _searched(result: BenchmarkResult) -> str:
    choice: dict[str, Any] = result.choice
    if choice.get("system"):
        return f"the system `{choice['system']}`"
    settings = ", ".join(f"{name} {value}" for name, value in choice.get("settings", {}).items())
    parts = [
        f"the index {choice.get('index', 'exact')}",
        settings,
        f"pool {choice['pool']}" if choice.get("pool") else "",
    ]
    return ", ".join(filter(None, parts))


def _quoted(word: str) -> str:
    return f'"{word}"' if any(mark in word for mark in " >+*") else word
