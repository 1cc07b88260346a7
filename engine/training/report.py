"""What a run gives back: scores before and after, what changed, and the model in every form it is needed in."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.encoder import Encoder
from engine.errors import InputError, NotFoundError, UnsupportedError
from engine.explain import Alignment
from engine.storage import replace_text
from engine.training.evaluation import Score

PACKAGES = ("torch", "transformers", "sentence-transformers", "accelerate", "datasets", "peft", "numpy")
NOTICEABLE = 0.05  # change of a query's nDCG@10 that counts as better or worse


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of `fine_tune`.

    Args:
        folder: Where the model is.
        reason: "complete" or "stopped".
        steps: Optimiser steps done.
        seconds: In the trainer.
        losses: One a step.
        before: nDCG@10 on the development collection before, or None without one.
        after: The same afterwards.
        p_value: Of the difference, by a paired randomisation test; None without a development collection.
        changed: (query id, document id, alignment before, after), most changed first.
        counts: What the data checks found.
        data_name: Where the rows came from.
        development: Name of the development collection, or None.
        settings: All settings.
        versions: Of Python and the packages that matter.
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
    versions: dict[str, str]
    encoder: Encoder = field(repr=False)

    @property
    def better(self) -> list[str]:
        """Queries whose nDCG@10 rose by more than .05, most first."""
        return [name for name, change in self._changes() if change > NOTICEABLE]

    @property
    def worse(self) -> list[str]:
        """Queries whose nDCG@10 fell by more than .05, most first."""
        return [name for name, change in reversed(self._changes()) if change < -NOTICEABLE]

    @property
    def same(self) -> list[str]:
        """The other queries."""
        return [name for name, change in self._changes() if abs(change) <= NOTICEABLE]

    def _changes(self) -> list[tuple[str, float]]:
        if self.before is None or self.after is None:
            return []
        before, after = self.before.per_query, self.after.per_query
        return sorted(((name, after[name] - before[name]) for name in before), key=lambda entry: -entry[1])

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
            "versions": self.versions,
        }

    def save(self, folder: str | Path) -> Path:
        """Write the model, for sentence-transformers and as far as it goes PyLate, with its card and this report.

        Args:
            folder: Created when absent.

        Returns:
            The folder.
        """
        from engine.training.card import model_card
        from engine.training.layout import use_shared_layout

        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}): choose another folder.") from None
        self.encoder.model.save_pretrained(str(path), create_model_card=False)
        use_shared_layout(self.encoder.model, path)
        replace_text(path / "README.md", model_card(self))
        replace_text(path / "report.json", json.dumps(self.as_dict(), indent=1))
        return path

    def push_to_hub(self, name: str, private: bool = True) -> str:
        """Upload the saved folder, without checkpoints.

        Args:
            name: "user/model" on the Hugging Face hub; you must be logged in there.
            private: Whether only you see it.

        Returns:
            The address of the upload.

        Raises:
            NotFoundError: the hub cannot be reached or refuses.
        """
        from huggingface_hub import HfApi

        api = HfApi()
        try:
            api.create_repo(name, private=private, exist_ok=True)
            done = api.upload_folder(repo_id=name, folder_path=self.folder, ignore_patterns=["checkpoints/*", "*.lock"])
        except Exception as error:  # the client raises many types: no network, no token, no right
            reason = str(error).splitlines()[0]
            raise NotFoundError(f"{name} could not be uploaded ({reason}): log in and connect.") from None
        return str(done)

    def export_onnx(self, path: str | Path) -> Path:
        """Write the model as ONNX: token ids and mask in, unit token vectors out; masks and prompts stay outside.

        Args:
            path: Of the file.

        Returns:
            The path.

        Raises:
            UnsupportedError: torch cannot export this model, or packages for it are missing.
        """
        import torch

        target = Path(path)
        module = _token_vectors(self.encoder.model).eval()
        ids = torch.arange(16, device=self.encoder.device).view(2, 8)
        mask = torch.ones_like(ids)  # a tensor of its own: the same one twice would become one input
        mask[1, 5:] = 0
        axes = {0: "texts", 1: "tokens"}
        try:
            torch.onnx.export(
                module,
                (ids, mask),
                str(target),
                input_names=["input_ids", "attention_mask"],
                output_names=["token_embeddings"],
                dynamic_axes={"input_ids": axes, "attention_mask": axes, "token_embeddings": axes},
                dynamo=False,
            )
        except Exception as error:  # the exporter's errors have no common type
            target.unlink(missing_ok=True)
            reason = str(error).splitlines()[0]
            raise UnsupportedError(f"This model could not be exported ({reason}): install onnx.") from None
        return target


def _token_vectors(model: Any) -> Any:
    import torch

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            return self.model(features, task="query")["token_embeddings"]

    return TokenVectors()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
