"""What a run gives back: scores before and after, what changed, and everything that it followed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.encoder import Encoder
from engine.explain import Alignment
from engine.machine import machine, versions
from engine.statistics import moved
from engine.training.development import Score

ALREADY = "already complete"


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of `fine_tune`.

    Args:
        folder: Where the model is.
        reason: "complete" or "stopped"; "already complete" where a finished run was resumed and nothing was done.
        steps: Optimiser steps done.
        seconds: In the trainer.
        losses: One a step.
        before: nDCG@10 on the development collection before, or None without one.
        after: The same afterwards.
        p_value: How likely the difference is by chance, by a paired randomisation test; None without a collection.
        changed: (query id, document id, alignment before, after), most changed first; empty when read from a folder.
        counts: What the data checks found.
        data_name: Where the rows came from.
        development: Name of the development collection, or None.
        settings: All settings, with the mini-batch that was chosen.
        origin: What the weights follow from, by hash; see `engine.training.checkpoints.origin_of`.
        parts: One a start or resumption: the step that it went on from, device, machine and versions.
        noise: What `bits` added to document vectors, as a share of their length.
        kept: The step whose weights the model has: the best measured one where questions were set apart to choose it.
        measured: Step -> nDCG@10 on those questions; empty without them.
        chosen_on: Name of those questions.
        curves: "before" and "after" -> pool factor -> score, where the loss was taken at other factors than 1 and there
            is a collection.
        encoder: The trained model.
    """

    folder: str
    reason: str
    steps: int
    seconds: float
    losses: list[float]
    before: Score | None
    after: Score | None
    p_value: float | None
    changed: list[tuple[str, str, Alignment, Alignment]]
    counts: dict[str, int]
    data_name: str
    development: str | None
    settings: dict[str, Any]
    origin: dict[str, Any]
    parts: list[dict[str, Any]]
    encoder: Encoder = field(repr=False)
    noise: float = 0.0
    kept: int | None = None
    measured: dict[int, float] = field(default_factory=dict)
    chosen_on: str = ""
    curves: dict[str, dict[float, Score]] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """Of Python and the packages that matter, in the last part of the run."""
        return self.parts[-1]["versions"]

    @property
    def scores(self) -> dict[str, Score]:
        """What was measured, under the names "before" and "after"."""
        measured = {"before": self.before, "after": self.after}
        return {when: score for when, score in measured.items() if score is not None}

    @property
    def better(self) -> list[str]:
        """Queries whose nDCG@10 rose by more than .05, most first."""
        return list(self._moved[0])

    @property
    def worse(self) -> list[str]:
        """Queries whose nDCG@10 fell by more than .05, most first."""
        return list(self._moved[1])

    @property
    def same(self) -> list[str]:
        """The other queries."""
        names = () if self.before is None else self.before.per_query
        return [name for name in names if name not in {*self._moved[0], *self._moved[1]}]

    @property
    def _moved(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self.before is None or self.after is None:
            return (), ()
        return moved(self.before.per_query, self.after.per_query)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the model and the alignments, as JSON values."""
        return {
            "reason": self.reason,
            "steps": self.steps,
            "seconds": self.seconds,
            "losses": self.losses,
            "before": None if self.before is None else vars(self.before),
            "after": None if self.after is None else vars(self.after),
            "p_value": self.p_value,
            "better": self.better,
            "worse": self.worse,
            "changed": [[query, document] for query, document, _, _ in self.changed],
            "counts": self.counts,
            "data": self.data_name,
            "development": self.development,
            "settings": self.settings,
            "mini_batch_tokens": self.settings["mini_batch_tokens"],
            "noise": self.noise,
            "kept": self.kept,
            "chosen_on": self.chosen_on,
            "measured": {str(step): value for step, value in self.measured.items()},
            "curves": {
                when: {str(factor): vars(score) for factor, score in curve.items()}
                for when, curve in self.curves.items()
            },
            "origin": self.origin,
            "parts": self.parts,
            "versions": self.versions,
        }


def where(encoder: Encoder) -> dict[str, Any]:
    """Where a part of a run happens, as JSON values: device, threads, machine and versions."""
    import torch

    found = {"device": encoder.device, "threads": torch.get_num_threads(), "machine": machine(), "versions": versions()}
    if encoder.device.startswith("cuda"):
        found["accelerator"] = torch.cuda.get_device_name(encoder.device)
    return found
