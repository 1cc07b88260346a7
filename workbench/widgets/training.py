"""Start a fine-tuning run, watch it, and stop it, while the other cells stay usable."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets
import plotly.graph_objects as go

from engine import Collection
from engine.errors import InputError, WorkbenchError
from engine.training import (
    Evaluated,
    Event,
    Pinned,
    Report,
    Started,
    Step,
    Stop,
    TrainingData,
    TrainSettings,
    fine_tune,
)
from workbench import figures
from workbench.experiments.training import as_runs
from workbench.exports import html_table
from workbench.widgets.static import StaticFallback, error_html

DRAW_EVERY_S = 1.0  # a figure is redrawn at most this often: each redraw is a message to the browser


class TrainingControl(StaticFallback):
    """A run with a Start and a Stop button and live curves; it trains in a thread of its own.

    Stop ends the run within a step, and the model of that step is kept.

    Args:
        settings: What to train, and how.
        data: Rows to train on.
        development: Evaluated before and after, and during the run if the settings say so.
        pinned: (question, text) pairs whose matrices are followed.
        theme: "light" or "dark".
        replace: A model or checkpoints in the output folder may go.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: TrainingData,
        development: Collection | None = None,
        pinned: Sequence[tuple[str, str]] = (),
        theme: str = "light",
        replace: bool = False,
    ) -> None:
        self.settings, self.data, self.development = settings, data, development
        self.pinned, self.theme, self.replace = tuple(pinned), theme, replace
        self.events: list[Event] = []
        self.report: Report | None = None
        self.error: Exception | None = None
        self._stop = Stop()
        self._thread: threading.Thread | None = None
        self._drawn = 0.0
        self.start_button = ipywidgets.Button(description="Start", button_style="primary")
        self.stop_button = ipywidgets.Button(description="Stop and keep", disabled=True)
        self.progress = ipywidgets.IntProgress(value=0, max=1)
        self.status = ipywidgets.HTML(f"{len(data):,} rows are ready.")
        self.curves = ipywidgets.Box(layout=ipywidgets.Layout(width="100%"))
        buttons = ipywidgets.HBox([self.start_button, self.stop_button, self.progress])
        super().__init__([buttons, self.status, self.curves])
        self.start_button.on_click(lambda button: self.start())
        self.stop_button.on_click(lambda button: self.stop())

    @property
    def running(self) -> bool:
        """Whether the run is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the run in the background.

        Raises:
            InputError: it was started before.
        """
        if self._thread is not None:
            raise InputError("This run was started before: make a new control for another run.")
        self.start_button.disabled, self.stop_button.disabled = True, False
        self.status.value = "Preparing: the model is loaded and measured before the first step."
        self._thread = threading.Thread(target=self._run, name="fine-tune", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the run to end; the model of the step that it has reached is kept."""
        self._stop.set()
        self.stop_button.disabled = True
        self.status.value = "Stopping after this step. The model is kept."

    def wait(self) -> Report:
        """Wait for the end of the run. Interrupting the kernel stops the run and keeps its model, as the button does.

        Returns:
            The report.

        Raises:
            InputError: the run was not started.
            WorkbenchError: the run failed.
        """
        if self._thread is None:
            raise InputError("This run was not started: press Start, or call start().")
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.stop()
            self._thread.join()
        if self.error is not None:
            raise self.error
        assert self.report is not None
        return self.report

    def figure(self) -> go.Figure:
        """The curves so far.

        Raises:
            InputError: no step was done yet.
        """
        return figures.training_curves([point for event in self.events for point in _points(event)], theme=self.theme)

    def static_html(self) -> str:
        """See the base."""
        losses = [(str(event.step), f"{event.loss:.4f}") for event in self.events if isinstance(event, Step)]
        return f"<p>{self.status.value}</p>{html_table(('step', 'loss'), losses)}"

    def _run(self) -> None:
        try:
            self.report = fine_tune(
                self.settings,
                self.data,
                self._on_event,
                self.development,
                stop=self._stop,
                pinned=self.pinned,
                replace=self.replace,
                measure=as_runs(self.settings),
            )
            self.status.value = _outcome(self.report)
        except Exception as error:  # a thread has no caller: `wait` raises it, and the page shows its sentence
            self.error = error
            sentence = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            self.status.value = error_html(sentence, self.theme)
        finally:
            self.stop_button.disabled = True
            self._draw()

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Started):
            seconds = event.preflight["seconds"]
            self.progress.max = event.steps
            self.status.value = f"{event.rows:,} rows, {event.steps:,} steps, expected to take {_duration(seconds)}."
        elif isinstance(event, Evaluated):
            self.status.value = (
                f"Step {event.step}: nDCG@10 {event.ndcg:.3f} ({event.low:.3f} to {event.high:.3f}), "
                f"{event.queries} {'training questions set apart' if event.chooses else 'questions'}."
            )
        elif isinstance(event, Step):
            self.progress.value = event.step
            self.status.value = (
                f"Step {event.step} of {event.steps}: loss {event.loss:.4f}, {event.tokens_per_second:,.0f} tokens/s, "
                f"{event.memory_bytes / 1e9:.1f} GB, {_duration(event.seconds)} so far."
            )
            if time.monotonic() - self._drawn >= DRAW_EVERY_S:
                self._draw()

    def _draw(self) -> None:
        if not any(isinstance(event, Step) for event in self.events):
            return
        figure, self._drawn = self.figure(), time.monotonic()
        if not self.curves.children:
            self.curves.children = (go.FigureWidget(figure),)
        else:
            _redraw(self.curves.children[0], figure)


def _redraw(shown: Any, figure: Any) -> None:
    """Show another figure in a widget; a new widget would send all of plotly's code again, some 5 MB."""
    own = ("type", "uid")
    with shown.batch_update():
        if [trace.name for trace in shown.data] == [trace.name for trace in figure.data]:
            for trace, new in zip(shown.data, figure.data, strict=True):
                parts = {key: value for key, value in new.to_plotly_json().items() if key not in own}
                trace.update(parts, overwrite=True)
        else:
            shown.data = ()
            shown.add_traces(figure.data)
        shown.update_layout(figure.layout.to_plotly_json(), overwrite=True)


def _points(event: Event) -> list[dict[str, Any]]:
    """What the curves show of an event."""
    if isinstance(event, Step):
        return [{"step": event.step, "loss": event.loss, "learning_rate": event.learning_rate}]
    if isinstance(event, Evaluated):
        return [{"step": event.step, "ndcg@10": event.ndcg}]
    if isinstance(event, Pinned) and event.alignments:
        return [{"step": event.step, "pinned score": sum(a.score for a in event.alignments) / len(event.alignments)}]
    return []


def _outcome(report: Report) -> str:
    text = f"{'Stopped' if report.reason == 'stopped' else 'Done'} after {report.steps} steps, "
    text += f"{_duration(report.seconds)}. The model is in <code>{escape(report.folder)}</code>."
    if report.before is not None and report.after is not None:
        text += f" nDCG@10 {report.before.ndcg:.3f} before, {report.after.ndcg:.3f} after."
        if report.after.run:
            text += f" Both are among the runs: <code>{report.before.run}</code>, <code>{report.after.run}</code>."
    return text


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
