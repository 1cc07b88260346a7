"""Train the embedded model's head again: `python -m workbench.embedded.train_head --output assets/head`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from engine import Encoder, TokenEmbeddings, load_collection
from engine.storage import replace_text
from engine.training.head import HeadSettings, fit_head, save_head
from workbench.embedded.model import load
from workbench.embedded.training_texts import PACKAGES, read_texts

TEXTS, SEED, STEPS = 4000, 0, 1000


def train_head(
    output: Path, collections: list[str], texts: int = TEXTS, settings: HeadSettings | None = None
) -> dict[str, object]:
    """Fit the head from 384 to 96 dimensions and write it with a record of how.

    Args:
        output: Folder of `config.json`, `model.safetensors` and `training.json`.
        collections: Whose document texts are added; their questions and judgements are not looked at.
        texts: Documentation strings of installed packages; 0 for none.
        settings: Of the fit; those of the command when None.

    Returns:
        The record.
    """
    model, _ = load("cpu", head=None)
    model.eval()
    encoder = Encoder(model, "all-MiniLM-L6-v2")
    parts = [read_texts(texts, SEED)] if texts else []
    parts += [list(load_collection(name).documents.values()) for name in collections]
    encoded = [encoder.encode_document(part, _progress).astype("float16") for part in parts]
    joined = TokenEmbeddings.from_list([vectors for part in encoded for vectors in part])
    settings = settings or HeadSettings(steps=STEPS, seed=SEED)
    losses: list[float] = []
    weight = fit_head(joined, settings, lambda step, loss: losses.append(loss))
    save_head(weight, output)
    record = {
        "settings": asdict(settings),
        "texts": len(joined),
        "tokens": joined.n_tokens,
        "packages": {name: version(name.replace("sklearn", "scikit-learn")) for name in PACKAGES},
        "collections": [Path(name).name for name in collections],
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "last_loss": float(np.mean(losses[-100:])),
    }
    replace_text(output / "training.json", json.dumps(record, indent=1) + "\n")
    return record


def _progress(done: int, n: int) -> None:
    if sys.stderr.isatty():
        print(f"\rencoded {done} of {n}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("assets/head"))
    parser.add_argument("--collection", action="append", default=[], help="adds its document texts; may be repeated")
    parser.add_argument("--texts", type=int, default=TEXTS, help="documentation strings to read")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--near", type=int, default=HeadSettings.near, help="documents of a batch like the first")
    parser.add_argument("--random", type=int, default=HeadSettings.random, help="documents of a batch at random")
    parser.add_argument("--learning-rate", type=float, default=HeadSettings.learning_rate)
    parser.add_argument(
        "--temperature", type=float, default=HeadSettings.temperature, help="of the score distributions"
    )
    parser.add_argument("--mse", type=float, default=HeadSettings.mse, help="weight of the squared error")
    given = parser.parse_args()
    settings = HeadSettings(
        steps=given.steps,
        near=given.near,
        random=given.random,
        learning_rate=given.learning_rate,
        temperature=given.temperature,
        mse=given.mse,
    )
    print(json.dumps(train_head(given.output, given.collection, given.texts, settings), indent=1))


if __name__ == "__main__":
    main()
