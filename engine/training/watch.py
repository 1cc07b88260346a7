"""Watching a run: each step as an event, a guard that ends what cannot recover, and a stop within one step."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from engine.batching import used_tokens
from engine.errors import TrainingError
from engine.machine import peak_memory
from engine.training.batches import Features
from engine.training.events import OnEvent, Saved, Step, Stop

ZERO_STEPS = 3  # exact zeros in a row that end a run: one can be chance on a tiny batch
FIRST_STEPS = 5  # losses whose median later ones are compared with
EXPLODED = 20.0  # times that median


class Guard:
    """Looks at every loss before its backward pass.

    Args:
        describe: Names a batch from its columns, for the sentence of an error.
    """

    def __init__(self, describe: Callable[[list[Features]], str]) -> None:
        self.describe = describe
        self.losses: list[float] = []
        self.tokens = 0
        self.step = 0
        self._zeros = 0

    def __call__(self, columns: list[Features], loss: float) -> None:
        """Take one loss.

        Raises:
            TrainingError: it is not finite, zero for the third time in a row, or far above the first ones.
        """
        self.tokens += sum(int(used_tokens(column).sum()) for column in columns)
        self._zeros = self._zeros + 1 if loss == 0.0 else 0
        problem = ""
        if not math.isfinite(loss):
            problem = f"the loss is {loss}: lower the learning rate, use float32, or look at this batch"
        elif self._zeros >= ZERO_STEPS:
            problem = f"the loss was exactly 0 for {ZERO_STEPS} steps: check that negatives differ from positives"
        elif len(self.losses) >= FIRST_STEPS:
            usual = statistics.median(self.losses[:FIRST_STEPS])
            if loss > EXPLODED * max(usual, 0.05):
                problem = f"the loss is {loss:.3g} after {usual:.3g} at the start: lower the learning rate"
        if problem:
            raise TrainingError(f"Step {self.step + 1}, {self.describe(columns)}: {problem}.")
        self.losses.append(loss)


class Watcher(TrainerCallback):
    """Turns what the trainer does into events, evaluates every n steps and obeys a stop.

    Args:
        guard: Looks at the run's losses.
        on_event: Takes the events.
        stop: Asks for the end.
        evaluate_every: Steps; 0 for never.
        evaluate: Called with the step; what it returns goes to the trainer's trackers.
        until: Step after which to pause with a checkpoint, for negatives to be mined again; 0 for the end.
        exhausted: Whether what was measured says that the run may end.
    """

    def __init__(
        self,
        guard: Guard,
        on_event: OnEvent,
        stop: Stop,
        evaluate_every: int = 0,
        evaluate: Callable[[int], dict[str, float]] | None = None,
        until: int = 0,
        exhausted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.guard = guard
        self.log: Callable[[dict[str, float]], None] = lambda scores: None  # the trainer's, once there is one
        self.until = until
        self.exhausted = exhausted
        self.on_progress: Callable[[float], None] = lambda share: None  # the scorer's, once there is one
        self.on_event = on_event
        self.stop = stop
        self.evaluate_every = evaluate_every
        self.evaluate = evaluate
        self.stopped = False
        self._started = self._last = time.perf_counter()
        self._tokens = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Start the clock."""
        self._started = self._last = time.perf_counter()
        self.guard.step = state.global_step

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say how far the run has come."""
        self.on_progress(state.global_step / max(state.max_steps - 1, 1))

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop if asked to; the checkpoint that is saved then is the one to resume from."""
        self.guard.step = state.global_step
        pausing = 0 < self.until == state.global_step < state.max_steps
        if self.stop.is_set() or pausing:
            self.stopped = self.stop.is_set()
            control.should_training_stop = True
            control.should_save = True

    def rates(self) -> dict[str, float]:
        """What the trainer does not know of the step that ends."""
        seconds = max(time.perf_counter() - self._last, 1e-9)
        return {"tokens_per_second": (self.guard.tokens - self._tokens) / seconds, "memory_bytes": _peak()}

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Every step is logged: send it on, and evaluate when it is time."""
        if not logs or "loss" not in logs:
            return
        norm = float(logs.get("grad_norm", float("nan")))
        self.on_event(
            Step(
                step=state.global_step,
                steps=state.max_steps,
                loss=float(logs["loss"]),
                learning_rate=float(logs.get("learning_rate", 0.0)),
                gradient_norm=norm,
                tokens_per_second=logs["tokens_per_second"],
                memory_bytes=logs["memory_bytes"],
                seconds=time.perf_counter() - self._started,
            )
        )
        if not math.isfinite(norm):
            raise TrainingError(f"Step {state.global_step}: the gradient is not finite: lower the learning rate.")
        due = self.evaluate_every and (state.global_step % self.evaluate_every == 0 or self._ends(state))
        if self.evaluate is not None and due:
            self.log(self.evaluate(state.global_step))
            if self.exhausted():
                control.should_training_stop = control.should_save = True
        self._tokens, self._last = self.guard.tokens, time.perf_counter()

    def _ends(self, state: TrainerState) -> bool:
        """Whether this is the last step: what is never measured could not be chosen."""
        return state.global_step == state.max_steps or self.stop.is_set()

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """A checkpoint was written."""
        self.on_event(Saved(state.global_step, f"{args.output_dir}/checkpoint-{state.global_step}"))


def _peak() -> int:
    """Bytes at the peak so far: of the CUDA device where one is used, else of this process."""
    on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return torch.cuda.max_memory_allocated() if on_cuda else peak_memory()
