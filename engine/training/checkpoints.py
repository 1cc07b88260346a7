"""The folder of a run: what its checkpoints were made from, what may go on from them, and what may be replaced."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.collection import Collection
from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.files import file_lock, make_folder, missing_folders, remove_empty, replace_text, require_place, writing
from engine.training.data import TrainingData
from engine.training.settings import TrainSettings

WEIGHTS = "weights.safetensors"  # of a checkpoint: exactly what is trained, adapters and scorer included
CHECKPOINTS = "checkpoints"
ORIGIN = "run.json"
LOCK = "writer.lock"  # in the folder of the model: one run at a time
REPORT = "report.json"  # of a model, written last
FREE = ("output", "report_to", "evaluate_every", "save_every", "device")  # settings that no weight depends on
SCORER = "scorer."  # what the scorer's weights are called among those of the model


def origin_of(
    settings: TrainSettings, data: TrainingData, base: str, choosing: Collection | None = None
) -> dict[str, Any]:
    """What the weights of a run follow from, as JSON values.

    Args:
        settings: What to train and how.
        data: Checked rows.
        base: Fingerprint of the model before its first step.
        choosing: Judged questions that choose the step, if any.

    Returns:
        Settings, a hash of the rows and their number, the fingerprint and the number of processes.
    """
    digest = hashlib.blake2b(digest_size=8)
    for row in data.rows():
        digest.update(json.dumps(row, sort_keys=True).encode())
    chosen = {name: value for name, value in settings.to_dict().items() if name not in FREE}
    return {
        "settings": chosen,
        "data": digest.hexdigest(),
        "rows": len(data),
        "base": base,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        **({} if choosing is None else {"choosing": choosing.fingerprint}),
    }


def check_new(output: Path, replace: bool) -> None:
    """Check that a run may start in a folder: nothing is lost unless that was asked for.

    Args:
        output: Folder of the model and its checkpoints.
        replace: A model or checkpoints that are there may go.

    Raises:
        InputError: it holds a model, a run's checkpoints, or something else, or cannot be made.
    """
    require_place(output)
    if not output.exists():
        return
    held = [name for name in os.listdir(output) if name != LOCK] if output.is_dir() else [output.name]
    if not output.is_dir() or (held and not {CHECKPOINTS, REPORT, "README.md", "modules.json"} & set(held)):
        raise InputError(f"{output} holds something else than a model: give another output folder.")
    trained = {"modules.json", REPORT} & set(held)
    if (trained or any((output / CHECKPOINTS).glob("checkpoint-*"))) and not replace:
        what = "a model" if trained else "the checkpoints of a run"
        goes_on = "resume goes on from its last checkpoint, " if (output / CHECKPOINTS).is_dir() else ""
        raise InputError(
            f"{output} holds {what}: {goes_on}replace puts a new one in its place, or give another output folder."
        )


@contextmanager
def begun(output: Path) -> Iterator[None]:
    """Hold the folder of a run; when the run fails before its first checkpoint, nothing of it is left behind.

    Raises:
        BusyError: another run writes to the folder.
    """
    new = missing_folders(output)
    try:
        with file_lock(output / LOCK, 0.0):
            try:
                yield
            except BaseException:
                if last_checkpoint(output) is None:
                    start_anew(output)
                raise
    except BaseException:
        if new and set(os.listdir(output)) <= {LOCK}:
            (output / LOCK).unlink(missing_ok=True)
            remove_empty(new)
        raise


def start_anew(output: Path) -> None:
    """Remove the checkpoints of an earlier run; a model that is there stays until the new one is saved."""
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)


def last_checkpoint(output: Path) -> Path | None:
    """The complete checkpoint with the most steps, or None."""
    found = [path for path in (output / CHECKPOINTS).glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    complete = [path for path in found if (path / WEIGHTS).exists() and (path / "optimizer.pt").exists()]
    return max(complete, key=steps_of, default=None)


def steps_of(checkpoint: Path | None) -> int:
    """Steps that a checkpoint was saved after; 0 for None."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def find_resumable(output: Path) -> tuple[dict[str, Any], bool]:
    """What a run in a folder was made from.

    Args:
        output: Folder of the model and its checkpoints.

    Returns:
        Its record as `write_origin` left it, and whether the run is finished.

    Raises:
        NotFoundError: there is nothing to resume.
        CorruptDataError: the record cannot be read.
    """
    report = _read(output / REPORT)
    started = _read(output / CHECKPOINTS / ORIGIN)
    if report is not None and report.get("reason") == "complete" and "origin" in report:
        own = {name: report[name] for name in ("origin", "mini_batch_tokens", "parts")}
        if started is None or started["origin"] == own["origin"]:
            return own, True
    if last_checkpoint(output) is None:
        raise NotFoundError(f"{output} has no checkpoint to resume from: start anew, or set save_every.")
    if started is None:
        raise InputError(
            f"The checkpoints in {output} do not say which settings and rows they were made from: train anew with "
            "replace, or in another folder."
        )
    return started, False


def check_same(output: Path, record: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that what is asked for now is what a run was made from.

    Args:
        output: Folder of the model and its checkpoints.
        record: From `find_resumable`.
        now: From `origin_of`.

    Raises:
        InputError: something differs; the sentence says what, with both values.
    """
    before, changed = record["origin"], []
    for name, value in now["settings"].items():
        was = before["settings"].get(name)
        allowed = (was, record["mini_batch_tokens"]) if name == "mini_batch_tokens" else (was,)
        if value not in allowed:
            changed.append(f"{name} {was!r} is now {value!r}")
    if before["data"] != now["data"]:
        changed.append(f"the rows differ ({before['rows']:,} then, {now['rows']:,} now)")
    if before["base"] != now["base"]:
        changed.append("the base model has other weights or settings")
    if before.get("choosing") != now.get("choosing"):
        changed.append("other questions are choosing the step")
    if before["processes"] != now["processes"]:
        changed.append(f"{before['processes']} processes are now {now['processes']}")
    if changed:
        raise InputError(
            f"The run in {output} was started with something else: {'; '.join(changed)}. Resume with what it was "
            "started with, train anew with replace, or give another output folder."
        )


def write_origin(output: Path, origin: Mapping[str, Any], mini_batch_tokens: int, parts: list[dict[str, Any]]) -> None:
    """Keep beside the checkpoints what they are made from.

    Args:
        output: Folder of the model and its checkpoints.
        origin: From `origin_of`.
        mini_batch_tokens: That were chosen.
        parts: One a start: "step" that it went on from, and where it ran.
    """
    make_folder(output / CHECKPOINTS)
    record = {"origin": origin, "mini_batch_tokens": mini_batch_tokens, "parts": parts}
    replace_text(output / CHECKPOINTS / ORIGIN, json.dumps(record, indent=1))


@contextmanager
def writing_tensors(path: Path) -> Iterator[None]:
    """`engine.files.writing`, for writers that have errors of their own when a disk is full.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    with writing(path):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from None
        except RuntimeError as error:  # of torch.save
            if "PytorchStreamWriter" not in str(error):
                raise
            raise OSError("the disk took only a part of it") from None


def save_weights(folder: Path, model: nn.Module, scorer: nn.Module) -> None:
    """Write the weights of a model and its scorer."""
    state = {**model.state_dict(), **{SCORER + name: value for name, value in scorer.state_dict().items()}}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, folder / WEIGHTS)


def load_weights(folder: Path, model: nn.Module, scorer: nn.Module) -> None:
    """Put the weights of a checkpoint into a model and its scorer.

    Raises:
        CorruptDataError: they are damaged, or belong to another model.
    """
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except Exception as error:  # safetensors raises many types
        raise CorruptDataError(f"{path} cannot be read ({error}): remove this checkpoint and resume again.") from None
    parts: list[dict[str, Tensor]] = [{}, {}]
    for name, value in stored.items():
        parts[name.startswith(SCORER)][name.removeprefix(SCORER)] = value
    for module, part in zip((model, scorer), parts, strict=True):
        own = module.state_dict()
        if {key: value.shape for key, value in part.items()} != {key: value.shape for key, value in own.items()}:
            raise CorruptDataError(f"{path} belongs to another model: resume with the settings of that run.")
        module.load_state_dict(part)


def losses_of(checkpoint: Path) -> list[float]:
    """The loss of every step up to a checkpoint."""
    state = _read(checkpoint / "trainer_state.json") or {}
    return [entry["loss"] for entry in state.get("log_history", ()) if "loss" in entry]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("no mapping")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CorruptDataError(f"{path} cannot be read ({error}): train anew with replace.") from None
    return value
