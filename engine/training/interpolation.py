"""Between a model and what training made of it: weights that keep some of what the model knew before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engine import nested
from engine.encoder import Encoder
from engine.errors import InputError, NotFoundError
from engine.files import make_folder
from engine.maxsim import scorers
from engine.model_names import ModelName
from engine.training.checkpoints import REPORT, check_new, writing_tensors
from engine.training.frozen import remembered_backbone
from engine.training.layout import use_shared_layout


def base_of(trained: str | Path) -> str:
    """The model that a trained one began as, by the record in its folder.

    Raises:
        NotFoundError: there is no such folder.
        InputError: the folder has no such record.
    """
    path = Path(trained) / REPORT
    if not path.parent.is_dir():
        raise NotFoundError(f"There is no folder {trained}: give that of a trained model.")
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["settings"]["base"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{trained} does not say what it was trained from: name that as the base.") from None


class Interpolation:
    """A base and a model that was trained from it; any share of the way between them is a model too.

    Args:
        trained: Folder of the trained model.
        base: Name or folder of the model that it was trained from; as its record says when None.
        device: A torch device.

    Raises:
        InputError: the two have other weights or tokens than each other.

    Source:
        Wortsman and others, 2022 (WiSE-FT), arXiv 2109.01903.
    """

    def __init__(self, trained: str | Path, base: str | None = None, device: str = "auto") -> None:
        self.folder, self.base = Path(trained), base or base_of(trained)
        self.encoder = Encoder.load(str(trained), device=device, dtype="float32")
        begun = Encoder.load(self.base, device=device, dtype="float32").model
        first, last = begun.state_dict(), self.encoder.model.state_dict()
        same = {name: value.shape for name, value in first.items()} == {
            name: value.shape for name, value in last.items()
        }
        if not same or begun.tokenizer.get_vocab() != self.encoder.model.tokenizer.get_vocab():
            raise InputError(
                f"Expected a base with the {'tokens' if same else 'weights'} of {trained}, got {self.base}, which has "
                "others: merge a model with the one that it was trained from."
            )
        self._first = {name: value.clone() for name, value in first.items()}
        self._last = {name: value.clone() for name, value in last.items()}

    @contextmanager
    def same_backbone(self) -> Iterator[None]:
        """While entered, the vectors of a backbone that training left alone are kept: every share needs the same."""
        model: Any = self.encoder.model
        own = [f"0.{name}" for name in model[0].state_dict()]
        if own and all(torch.equal(self._first[name], self._last[name]) for name in own):
            with remembered_backbone(model):
                yield
        else:
            yield

    def at(self, share: float) -> Encoder:
        """The model at a share of the way.

        Args:
            share: 0 is the base, 1 the trained model; the weights between lie on a straight line.

        Returns:
            An encoder, whose model is this object's own: the next call changes it.

        Raises:
            InputError: a share outside 0 to 1.
        """
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise InputError(f"Expected a share from 0, the base, to 1, the trained model, got {share!r}: correct it.")
        between = {
            name: value + share * (self._last[name] - value) if value.is_floating_point() else self._last[name]
            for name, value in self._first.items()
        }
        ends: dict[float, Any] = {0.0: self._first, 1.0: self._last}
        self.encoder.model.load_state_dict(ends.get(float(share), between))
        return Encoder(self.encoder.model.eval(), f"{self.folder.name}-{share:g}")

    def save(self, share: float, output: str | Path, replace: bool = False) -> Path:
        """Keep the model at a share as a folder of its own, with a learned scorer as it was trained.

        Args:
            share: See `at`.
            output: A new folder.
            replace: A model that is there may go.

        Returns:
            The folder.

        Raises:
            InputError: a share outside 0 to 1, or a folder that holds something.
        """
        path = Path(output)
        for what, folder in (("the trained model", self.folder), ("the base", Path(ModelName.parse(self.base).name))):
            if path.resolve() == folder.resolve():
                raise InputError(f"{output} is {what} itself: give another folder.")
        check_new(path, replace)
        model = self.at(share).model
        make_folder(path)
        with writing_tensors(path):
            model.save_pretrained(str(path), create_model_card=False)
            use_shared_layout(model, path)
            nested.write(model, path)
            for name in (scorers.FILE, scorers.WEIGHTS):
                if (self.folder / name).is_file():
                    shutil.copyfile(self.folder / name, path / name)
            (path / "README.md").write_text(self._card(share, path.name), encoding="utf-8")
        return path

    def _card(self, share: float, name: str) -> str:
        return (
            "---\nlibrary_name: sentence-transformers\ntags: [late-interaction, multi-vector, colbert]\n---\n\n"
            f"# {name}\n\nThe weights lie on the line from {self.base} to {self.folder.name}, which was trained from "
            f"it, at a share of {share:g} of the way:\n\n"
            f"    workbench merge --model {self.folder.name} --share {share:g} --output {name}\n"
        )


def check_shares(shares: Sequence[float]) -> list[float]:
    """Shares as they are measured: each once, ascending.

    Raises:
        InputError: none, or one outside 0 to 1.
    """
    found = sorted(set(shares))
    if not found or found[0] < 0 or found[-1] > 1:
        raise InputError(f"Expected shares from 0 to 1, got {list(shares)}: 0, 0.5 and 1 show most.")
    return found
