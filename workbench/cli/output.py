"""What the commands print: results to standard output, progress and remarks to standard error."""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from engine.errors import InputError
from engine.storage import replace_text
from workbench.exports import visible

if TYPE_CHECKING:
    from workbench.experiments.prepare import Prepared
    from workbench.runs import Run


Row = TypeVar("Row")


class _Terminal(Console):
    """Shows text as it is: no markup, no names of emoji, and what would steer the terminal is made visible."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


out = _Terminal()
err = _Terminal(stderr=True)

PACKAGE = Path(__file__).parents[1]
STAGES = {"encode": "Encoding documents", "index": "Building the index"}


def complain(sentence: str) -> None:
    """Print an error's sentence to standard error."""
    err.print(sentence, style="red", soft_wrap=True)


def note(sentence: str) -> None:
    """Print a remark to standard error."""
    err.print(sentence, style="dim", soft_wrap=True)


def write_text(path: Path, text: str) -> None:
    """Write a file that is replaced as a whole, with the folders on its way.

    Raises:
        InputError: the folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent} cannot be made ({error.strerror}): choose another place.") from None
    replace_text(path, text)


def show_warnings(run: Run, prepared: Prepared) -> None:
    """Print what a reader of a run's numbers has to know; the notes of its collection were printed as it was read."""
    for sentence in run.warnings:
        if sentence not in prepared.collection.notes and sentence not in _told:
            note(sentence)


def say_reused(run: Run) -> None:
    """Say when what is shown was measured, where it was there already."""
    if run.reused:
        note(f"This was measured before, on {run.created[:16].replace('T', ' ')}: --force measures again.")


_told: set[str] = set()  # what this command has said of its texts


class _Notes(logging.Handler):
    """Prints what the readers leave out or replace and what a model cuts, each sentence once."""

    def emit(self, record: logging.LogRecord) -> None:
        sentence = record.getMessage()
        if sentence not in _told:
            _told.add(sentence)
            note(sentence)


@contextmanager
def reading_notes() -> Iterator[None]:
    """Print the notes of every collection and of all training rows that are read meanwhile, wherever that happens.

    Warnings of this package are printed the same way, without the line of code that they come from.
    """
    log, handler = logging.getLogger("engine.reading"), _Notes()
    level = log.level
    _told.clear()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            show = warnings.showwarning

            def told(message: Any, category: type[Warning], filename: str, *place: Any) -> None:
                if Path(filename).is_relative_to(PACKAGE):
                    note(str(message))
                else:
                    show(message, category, filename, *place)

            warnings.showwarning = told  # type: ignore[assignment]
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def show_json(value: Any, output: Path | None = None) -> None:
    """Print a value as JSON, or write it to a file that is replaced as a whole; what is no finite number is null."""
    missing: list[str] = []
    text = json.dumps(_finite(value, "", missing), indent=1, ensure_ascii=False, allow_nan=False)
    if missing:
        note(f"{len(missing)} values are no finite numbers and stand as null, first {missing[0]}.")
    if output is not None:
        write_text(output, text + "\n")
        note(f"Wrote {output}.")
    else:
        sys.stdout.write(text + "\n")


def _finite(value: Any, place: str, missing: list[str]) -> Any:
    """A value as JSON has it: arrays as lists, other objects as text, None and its place kept for NaN and infinity."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _finite(entry, f"{place}.{key}".lstrip("."), missing) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry, f"{place}[{number}]", missing) for number, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        missing.append(place or "the value")
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str | None = None) -> None:
    """Print a table; the first column is left-aligned, the others are numbers."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar a stage on standard error, or one line a finished stage where that is no terminal.

    Yields:
        A function of (stage, done, all).
    """
    if not err.is_terminal:
        finished: set[str] = set()

        def tell(stage: str, done: int, total: int) -> None:
            if done >= total and stage not in finished:
                finished.add(stage)
                note(f"{_label(stage)}: {total:,} done.")

        yield tell
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(visible(_label(stage)), total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield report


def until_stopped(rows: Iterable[Row], said: Callable[[Row], tuple[str, str]]) -> list[Row]:
    """Say of each row that it was measured, or why not; Ctrl-C ends it, and keeps those that were finished.

    Args:
        rows: As they are measured.
        said: What to call a row, and why it was not measured, "" where it was.
    """
    found: list[Row] = []
    try:
        for row in rows:
            found.append(row)
            name, error = said(row)
            note(f"{name}: {error or 'measured'}")
    except KeyboardInterrupt:
        note("Stopped: what follows was finished.")
    return found


def _label(stage: str) -> str:
    return STAGES.get(stage, stage[:1].upper() + stage[1:])
