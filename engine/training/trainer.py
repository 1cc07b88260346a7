"""Our settings as the library's trainer, whose checkpoints hold exactly the weights that are trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments
from sentence_transformers.base.training_args import BatchSamplers
from transformers.trainer_callback import PrinterCallback

from engine.errors import InputError, StorageError
from engine.training.batches import Features, text_of
from engine.training.checkpoints import CHECKPOINTS, load_weights, save_weights, writing_tensors
from engine.training.data import TrainingData
from engine.training.losses import LOSSES, LateInteractionLoss
from engine.training.model import cut_at
from engine.training.settings import TrainSettings
from engine.training.watch import Watcher

TOKEN_WEIGHTS = ("query_weights", "mean_weights", "query_mean")  # of a LateHead


def build_trainer(
    settings: TrainSettings,
    model: Any,
    rows: TrainingData,
    loss: LateInteractionLoss,
    watcher: Watcher,
    batch: int,
    steps: int,
) -> CheckpointTrainer:
    """The trainer of a run.

    Args:
        settings: What to train and how.
        model: A MultiVectorEncoder, trained in place.
        rows: With the negatives of the moment.
        loss: From `build_loss`.
        watcher: Turns what happens into events.
        batch: Rows a step and process.
        steps: Optimiser steps.

    Returns:
        The trainer, ready to train.
    """
    in_batch = LOSSES[settings.loss].loss.in_batch
    if settings.dtype == "bfloat16" and model.device.type == "mps":
        raise InputError("bfloat16 training does not work on mps: choose float32.")
    arguments = MultiVectorEncoderTrainingArguments(
        output_dir=str(Path(settings.output) / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=batch,
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
        dataloader_drop_last=in_batch,  # a last batch of one row would have no negatives
        batch_sampler=BatchSamplers.NO_DUPLICATES if in_batch else BatchSamplers.BATCH_SAMPLER,
        prompts=column_prompts(model, list(rows.columns)),
        max_length=cut_at(model, settings) or None,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
    )
    trainer = CheckpointTrainer(
        model=model, args=arguments, train_dataset=rows.to_dataset(in_batch), loss=loss, callbacks=[watcher]
    )
    trainer.watcher, watcher.log, trainer.scorer = watcher, trainer.log, loss.scorer
    watcher.on_progress, trainer.weights_rate = loss.scorer.anneal, settings.weights_rate
    trainer.remove_callback(PrinterCallback)  # it prints every step where a command's result belongs
    return trainer


class CheckpointTrainer(MultiVectorEncoderTrainer):
    """Saves and loads checkpoints by state, so that adapters, frozen parts and scorers resume as they were."""

    watcher: Watcher
    scorer: torch.nn.Module
    weights_rate: float = 0.0

    def create_optimizer(self, *arguments: Any, **options: Any) -> Any:
        """With a group of their own for weights of tokens."""
        optimizer: Any = super().create_optimizer(*arguments, **options)
        named: Any = self.model
        own = {id(p) for name, p in named.named_parameters() if name.rpartition(".")[2] in TOKEN_WEIGHTS}
        for group in list(optimizer.param_groups) if self.weights_rate else ():
            if moved := [parameter for parameter in group["params"] if id(parameter) in own]:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
                optimizer.add_param_group({**group, "params": moved, "lr": self.weights_rate})
        return optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what the watcher measured, so that every tracker gets it too."""
        super().log({**logs, **self.watcher.rates()} if "loss" in logs else logs, start_time)

    def _save_checkpoint(self, *arguments: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        try:
            with writing_tensors(folder):
                super()._save_checkpoint(*arguments)
        except StorageError:
            shutil.rmtree(folder, ignore_errors=True)  # the one before is complete, and has room again
            raise

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(folder, self.model, self.scorer)  # type: ignore[arg-type]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(Path(resume_from_checkpoint), self.model, self.scorer)  # type: ignore[arg-type]


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
    first = text_of(model, columns[0], 0)
    return f"the batch of {len(columns[0]['input_ids'])} rows whose first question is {first[:80]!r}"
