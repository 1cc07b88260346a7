"""Our settings as the library's trainer, whose checkpoints hold exactly the weights that are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments
from sentence_transformers.base.training_args import BatchSamplers
from transformers.trainer_callback import PrinterCallback

from engine.errors import CorruptDataError, InputError
from engine.training import losses
from engine.training.batches import Features, used_tokens
from engine.training.losses import LateInteractionLoss
from engine.training.settings import TrainSettings
from engine.training.watch import Watcher

if TYPE_CHECKING:
    from engine.training.run import Run

DEFAULT_MINI_BATCH = {"cpu": 1024, "cuda": 16384}


def build_loss(model: Any, settings: TrainSettings) -> LateInteractionLoss:
    """The loss that the settings name.

    Args:
        model: The model.
        settings: Of the run.

    Returns:
        The loss; its mini-batches may change after the probe.
    """
    size = settings.mini_batch_tokens or DEFAULT_MINI_BATCH.get(model.device.type, 1024)
    sizes: dict[str, Any] = {"mini_batch_tokens": size, "graph_tokens": size}
    if settings.loss == "contrastive":
        sizes["graph_tokens"] = None
    if settings.loss == "distillation":
        return losses.DistillationLoss(model, settings.temperature, **sizes)
    if settings.loss == "margin-mse":
        return losses.MarginMSELoss(model, **sizes)
    return losses.ContrastiveLoss(
        model, settings.temperature, settings.false_negative_threshold, settings.gather, **sizes
    )


def build_trainer(run: Run, loss: LateInteractionLoss, watcher: Watcher, steps: int) -> CheckpointTrainer:
    """The trainer of a run.

    Args:
        run: Settings, data and model.
        loss: From `build_loss`.
        watcher: Turns what happens into events.
        steps: Of the run.

    Returns:
        The trainer, ready to train.
    """
    from engine.training.run import CHECKPOINTS

    settings, model = run.settings, run.encoder.model
    contrastive = settings.loss in ("contrastive", "cached-contrastive")
    _check_device(settings, model)
    lengths = {"query": settings.query_length, "document": settings.document_length}
    arguments = MultiVectorEncoderTrainingArguments(
        output_dir=str(Path(settings.output) / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=run.batch,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        lr_scheduler_type="linear",
        bf16=settings.dtype == "bfloat16",
        use_cpu=model.device.type == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.save_every or steps,
        save_total_limit=2,
        dataloader_drop_last=contrastive,  # a last batch of one row would have no negatives
        batch_sampler=BatchSamplers.NO_DUPLICATES if contrastive else BatchSamplers.BATCH_SAMPLER,
        prompts=column_prompts(model, list(run.rows.columns)),
        max_length={task: length for task, length in lengths.items() if length} or None,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
    )
    trainer = CheckpointTrainer(
        model=model, args=arguments, train_dataset=run.rows.to_dataset(), loss=loss, callbacks=[watcher]
    )
    trainer.watcher, watcher.log = watcher, trainer.log
    trainer.remove_callback(PrinterCallback)  # it prints every step where a command's result belongs
    return trainer


class CheckpointTrainer(MultiVectorEncoderTrainer):
    """Saves and loads checkpoints by state, so that adapters and frozen parts resume as they were."""

    watcher: Watcher

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what the watcher measured, so that every tracker gets it too."""
        super().log({**logs, **self.watcher.rates()} if "loss" in logs else logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        from engine.training.run import WEIGHTS

        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_state(self.model), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        from engine.training.run import WEIGHTS

        path = Path(resume_from_checkpoint) / WEIGHTS
        stored = load_file(path)
        own = self.model.state_dict()
        if {key: value.shape for key, value in stored.items()} != {key: value.shape for key, value in own.items()}:
            raise CorruptDataError(f"{path} belongs to another model: resume with the settings of that run.")
        self.model.load_state_dict(stored)


def column_prompts(model: Any, columns: list[str]) -> dict[str, str]:
    """The model's own query and document prompts for each column: training must see what encoding sees.

    Args:
        model: A MultiVectorEncoder.
        columns: The query column first.

    Returns:
        Column -> prompt; columns without one are left out.
    """
    document = next((model.prompts[name] for name in ("document", "passage", "corpus") if model.prompts.get(name)), "")
    prompts = dict.fromkeys(columns[1:], document) | {columns[0]: model.prompts.get("query") or ""}
    return {name: prompt for name, prompt in prompts.items() if prompt}


def typical_batch(trainer: CheckpointTrainer) -> list[Features]:
    """The first batch that the trainer will see, as columns on its device; the data's order is not disturbed."""
    state = torch.get_rng_state()
    batch = next(iter(trainer.get_train_dataloader()), None)
    torch.set_rng_state(state)
    if batch is None:
        raise InputError(
            f"No batch of {trainer.args.per_device_train_batch_size} rows can be made in which no text comes twice: "
            "lower the batch or add rows."
        )
    return trainer.collect_features(batch)[0]


def describe_batch(model: Any, columns: list[Features]) -> str:
    """Name a batch by its first question."""
    ids = columns[0]["input_ids"][0][used_tokens(columns[0])[0]]
    text = model.tokenizer.decode(ids, skip_special_tokens=True)
    return f"the batch of {len(columns[0]['input_ids'])} rows whose first question is {text[:80]!r}"


def _state(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}


def _check_device(settings: TrainSettings, model: Any) -> None:
    if settings.dtype == "bfloat16" and model.device.type == "mps":
        raise InputError("bfloat16 training does not work on mps: choose float32.")
