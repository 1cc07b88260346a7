"""Settings of a training run, typed and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from engine.checks import require_whole
from engine.errors import InputError
from engine.maxsim import scorers
from engine.training.losses import LOSSES

Part = Literal["all", "head"]
DTYPES = ("float32", "bfloat16")
NOISES = (0, 1, 2, 4, 8)  # bits of PLAID's codec; 0 for no noise


@dataclass(frozen=True)
class TrainSettings:
    """Everything that a run depends on beside its data.

    Args:
        base: A plain backbone, which gets a projection, or any late-interaction checkpoint; "embedded" is the default.
        loss: "contrastive" and "cached-contrastive" take pairs with or without negatives, "distillation" and
            "margin-mse" take lists with teacher scores; all are in `engine.training.losses.LOSSES`.
        scorer: What the loss scores with, such as "maxsim" or "xtr:retrieved=1000"; see `engine.maxsim.scorers`. The
            weights of a learned one are kept with the model.
        temperature: Scores are divided by it before the softmax; None takes 1 for scores that are sums over the query's
            tokens, and .05 for those that are means.
        batch: Rows a step and process.
        learning_rate: Peak rate of AdamW, rising over the warm-up, then falling linearly to zero.
        weights_rate: The same for the weights of tokens that a `LateHead` has, which need larger steps; 0 takes
            `learning_rate`.
        epochs: Passes over the data; fractions are possible.
        max_steps: Steps in all; 0 goes by epochs.
        warmup: Share of the steps over which the learning rate rises.
        weight_decay: Share of each weight that AdamW takes off a step, times the learning rate.
        lora_rank: Rank of LoRA adapters on the attention and feed-forward layers; 0 trains all weights.
        train_only: "all", or "head" to train the projection and leave the backbone as it is.
        dtype: What the forward pass computes in; the weights stay in float32.
        gradient_checkpointing: Recompute activations, for long texts on a small device.
        seed: Seed of the order of the rows, dropout and new weights.
        evaluate_every: Steps between evaluations on the development collection; 0 evaluates before and after only.
        validation: Share of the training questions that are set apart and measured instead, at the start and every
            `evaluate_every` steps, to choose the step that is kept; 0 keeps the last one.
        patience: Measurements without a better one after which the run ends; 0 never ends it early.
        save_every: Steps between checkpoints to resume from; 0 keeps the one of the last step only.
        mine_every: Steps after which hard negatives are mined again with the model of that step, the first time before
            the first step; 0 keeps the data's.
        mini_batch_tokens: Tokens encoded together, padding included; 0 takes what the probe found fastest.
        query_length: Tokens after which training questions are cut, at most those that the model has positions for; 0
            keeps the model's.
        document_length: The same for documents.
        projection: Dimensions that a plain backbone is brought to.
        pool_factors: Pool factors that the loss is taken at, as an index will pool the documents; (1,) pools nothing.
        pool_weights: Share of each factor in the loss, above 0; all alike when empty.
        dimensions: Leading coordinates of the vectors that are trained to be vectors too (Matryoshka); empty for those
            that the base says it was trained for, which is the whole vectors alone where it says nothing.
        bits: Noise as large as what PLAID's codec of so many bits does to document vectors: 1, 2, 4 or 8; 0 for none.
        false_negative_threshold: Negatives that score more than this share of the positive's score are left out of
            the loss; None leaves none out.
        gather: Take the documents of all processes as negatives; one process has only its own.
        device: "auto", "cpu", "cuda", "mps".
        report_to: Trackers of the trainer, such as "tensorboard"; our own events come always.
        output: Folder of the model and its checkpoints.

    Raises:
        InputError: a value that makes no sense.
    """

    base: str = "embedded"
    loss: str = "cached-contrastive"
    scorer: str = scorers.DEFAULT
    temperature: float | None = None
    batch: int = 32
    learning_rate: float = 3e-5
    weights_rate: float = 0.0
    epochs: float = 1.0
    max_steps: int = 0
    warmup: float = 0.1
    weight_decay: float = 0.0
    lora_rank: int = 0
    train_only: Part = "all"
    dtype: str = "float32"
    gradient_checkpointing: bool = False
    seed: int = 0
    evaluate_every: int = 0
    validation: float = 0.0
    patience: int = 0
    save_every: int = 0
    mine_every: int = 0
    mini_batch_tokens: int = 0
    query_length: int = 0
    document_length: int = 0
    projection: int = 96
    pool_factors: tuple[float, ...] = (1,)
    pool_weights: tuple[float, ...] = ()
    dimensions: tuple[int, ...] = ()
    bits: int = 0
    false_negative_threshold: float | None = None
    gather: bool = False
    device: str = "auto"
    report_to: tuple[str, ...] = ()
    output: str = "model"

    def __post_init__(self) -> None:
        for name in _LISTS:
            object.__setattr__(self, name, _listed(name, getattr(self, name)))
        _one_of("loss", self.loss, tuple(LOSSES))
        scorers.check(self.scorer)
        _one_of("train_only", self.train_only, get_args(Part))
        _one_of("dtype", self.dtype, DTYPES)
        for name in ("learning_rate", "epochs", *(() if self.temperature is None else ("temperature",))):
            _number(name, getattr(self, name), above=0.0)
        for name in ("warmup", "weight_decay", "validation", "weights_rate"):
            _number(name, getattr(self, name), least=0.0)
        if self.warmup >= 1:
            raise InputError(f"Expected warmup below 1, a share of the steps, got {self.warmup}: try 0.1.")
        for name, least in (("batch", 1), ("projection", 1), *((name, 0) for name in _COUNTS)):
            require_whole(name, getattr(self, name), least)
        for kind, names in _TYPED.items():
            for name in names:
                _of_type(name, getattr(self, name), kind)
        if self.validation > 0.5:
            raise InputError(f"Expected validation of .5 or less, got {self.validation}: lower it.")
        if (self.validation and not self.evaluate_every) or (self.patience and not self.validation):
            raise InputError(
                "Expected evaluate_every with validation, and validation with patience: a step is chosen by measuring."
            )
        if LOSSES[self.loss].loss.in_batch and self.batch < 2:
            raise InputError("Expected a batch of 2 or more, since the other rows are the negatives: raise it.")
        self._check_targets()
        if self.false_negative_threshold is not None:
            _number("false_negative_threshold", self.false_negative_threshold, above=0.0)
        if self.lora_rank and self.train_only == "head":
            raise InputError("LoRA adapts the backbone, and train_only='head' freezes it: choose one of the two.")

    def _check_targets(self) -> None:
        for factor in self.pool_factors:
            _number("each of pool_factors", factor, least=1.0)
        for weight in self.pool_weights:
            _number("each of pool_weights", weight, above=0.0)
        for dim in self.dimensions:
            require_whole("each of dimensions", dim)
        for name in ("pool_factors", "dimensions"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise InputError(f"Expected each of {name} once, got {list(getattr(self, name))}: correct it.")
        if not self.pool_factors or len(self.pool_weights) not in (0, len(self.pool_factors)):
            raise InputError(
                f"Expected one of pool_factors or more and a weight for each, got {len(self.pool_factors)} and "
                f"{len(self.pool_weights)}: leave pool_weights out for equal ones."
            )
        if self.bits not in NOISES:
            raise InputError(f"Expected bits among {', '.join(map(str, NOISES))}, got {self.bits!r}: 0 adds no noise.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """Build settings from names and values, such as those of a recipe.

        Raises:
            InputError: an unknown name; the sentence lists the known ones.
        """
        known = [entry.name for entry in fields(cls)]
        unknown = next((name for name in values if name not in known), None)
        if unknown is not None:
            raise InputError(f"Unknown training setting {unknown!r}: choose among {', '.join(known)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in _LISTS}}


_LISTS = ("report_to", "pool_factors", "pool_weights", "dimensions")
_TYPED = {bool: ("gradient_checkpointing", "gather"), str: ("base", "device", "output")}
_COUNTS = ("max_steps", "lora_rank", "seed", "evaluate_every", "save_every", "mine_every", "patience",
           "mini_batch_tokens", "query_length", "document_length")  # fmt: skip


def _listed(name: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InputError(f"Expected {name} as a list, got {value!r}: write it in brackets, such as [1, 2, 4].")
    return tuple(value)


def _of_type(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind) or value == "":
        what = "true or false" if kind is bool else "a text"
        raise InputError(f"Expected {name} as {what}, got {value!r}: correct it.")


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"Unknown {name} {value!r}: choose among {', '.join(known)}.")


def _number(name: str, value: object, above: float | None = None, least: float | None = None) -> None:
    valid = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
    if valid and above is not None:
        valid = value > above  # type: ignore[operator]
    if valid and least is not None:
        valid = value >= least  # type: ignore[operator]
    if not valid:
        bound = f"above {above:g}" if above is not None else f"of {least:g} or more"
        raise InputError(f"Expected {name} as a number {bound}, got {value!r}: correct it.")
