"""Train the embedded model's adapter and head again: `python -m workbench.embedded.train_adapter --output assets/head`.

In stages, each kept in the work folder, so that a run that was ended goes on where it was: pairs, the head to start
from (principal axes), hard negatives from our own index, LoRA training with them, and the change as an adapter.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine import Encoder, load_collection
from engine.adapter import low_rank_changes, save_adapter
from engine.storage import replace_text
from engine.training import (
    Event,
    MiningSettings,
    Report,
    Step,
    TrainingData,
    TrainSettings,
    fine_tune,
    mine,
    read_training_data,
)
from engine.training.head import principal_head, save_head
from engine.training.run import CHECKPOINTS
from workbench.embedded.model import ADAPTER_FILE, load
from workbench.embedded.training_texts import PAIR_PACKAGES, cloze_pairs, documentation_pairs, title_pairs

HEAD_TEXTS = 2000  # enough for the second moments of 384 dimensions


@dataclass(frozen=True)
class Sources:
    """Where the pairs come from.

    Args:
        documentation: Pairs of a summary and what follows it, from installed packages.
        files: Files of pairs, such as those of medquad; half of each serves as pairs, half for inverse cloze pairs.
        from_files: Rows of each kind from each file.
        collections: Collections whose document texts give title and body pairs; their questions and judgements are
            not looked at.
        from_collections: Rows from each.
        seed: Seed of every choice.
    """

    documentation: int = 5000
    files: tuple[Path, ...] = ()
    from_files: int = 2000
    collections: tuple[str, ...] = ()
    from_collections: int = 1500
    seed: int = 0


def collect_pairs(sources: Sources) -> list[dict[str, str]]:
    """Draw the pairs, in random order.

    Args:
        sources: See `Sources`.

    Returns:
        Rows with "query" and "positive".
    """
    generator = random.Random(sources.seed)
    rows = documentation_pairs(sources.documentation, sources.seed) if sources.documentation else []
    for path in sources.files:
        data = read_training_data(path)
        order = generator.sample(range(len(data)), len(data))
        given = [
            {"query": data.columns["query"][i], "positive": data.columns["positive"][i]}
            for i in order[: sources.from_files]
        ]
        others = [data.columns["positive"][i] for i in order[sources.from_files :]]
        rows += given + cloze_pairs(others, sources.seed)[: sources.from_files]
    for name in sources.collections:
        found = title_pairs(list(load_collection(name).documents.values()))
        rows += generator.sample(found, min(sources.from_collections, len(found)))
    return generator.sample(rows, len(rows))


def train_adapter(work: Path, output: Path, sources: Sources, settings: TrainSettings, share: float) -> dict[str, Any]:
    """Train, and write the adapter and the head with a record of how.

    Args:
        work: Folder of the stages; a run that finds some of them goes on from there.
        output: Folder of `config.json`, `model.safetensors` (the head), `adapter.safetensors` and `training.json`.
        sources: Of the pairs.
        settings: Of the run; `base` and `output` are set here.
        share: How far to go from the untrained weights to the trained ones.

    Returns:
        The record.
    """
    data, start = _prepare(work, sources)
    run = work / "run"
    settings = TrainSettings.from_dict(settings.to_dict() | {"base": str(start), "output": str(run)})
    report = fine_tune(settings, data, _show, resume=any((run / CHECKPOINTS).glob("checkpoint-*")))
    write_adapter(start, run, output, settings.lora_rank, share)
    record = _record(report, sources, share)
    replace_text(output / "training.json", json.dumps(record, indent=1) + "\n")
    return record


def write_adapter(start: Path, trained: Path, output: Path, rank: int, share: float) -> None:
    """Write what training changed.

    Args:
        start: Folder of the model that training began with.
        trained: Folder of the trained model.
        output: Where the head and the adapter go.
        rank: Of the adapter.
        share: See `train_adapter`; of the head as well.
    """
    from sentence_transformers import MultiVectorEncoder

    before, after = (MultiVectorEncoder(str(folder), device="cpu").state_dict() for folder in (start, trained))
    head = "1.linear.weight"
    factors = low_rank_changes(
        {name: value for name, value in before.items() if name != head},
        {name: value for name, value in after.items() if name != head},
        rank,
    )
    save_head((before[head] + share * (after[head] - before[head])).numpy(), output)
    save_adapter(factors, output / ADAPTER_FILE, share)


def _record(report: Report, sources: Sources, share: float) -> dict[str, Any]:
    return {
        "sources": {
            "documentation": sources.documentation,
            "files": [path.name for path in sources.files],
            "from_files": sources.from_files,
            "collections": [Path(name).name for name in sources.collections],
            "from_collections": sources.from_collections,
            "seed": sources.seed,
        },
        "packages": {name: found for name in PAIR_PACKAGES if (found := _version(name))},
        "rows": report.counts,
        "settings": {key: value for key, value in report.settings.items() if key not in ("base", "output")},
        "share": share,
        "steps": report.steps,
        "seconds": report.seconds,
        "first_losses": report.losses[:5],
        "last_losses": report.losses[-5:],
        "python": platform.python_version(),
        "versions": report.versions,
    }


def _version(package: str) -> str | None:
    try:
        return version({"sklearn": "scikit-learn", "PIL": "pillow", "bs4": "beautifulsoup4"}.get(package, package))
    except PackageNotFoundError:
        return None


def _show(event: Event) -> None:
    if isinstance(event, Step):
        print(f"step {event.step} of {event.steps}: loss {event.loss:.4f}", file=sys.stderr, flush=True)


def _progress(done: int, n: int) -> None:
    if sys.stderr.isatty():
        print(f"\rencoded {done} of {n}", end="", file=sys.stderr, flush=True)


def _prepare(work: Path, sources: Sources) -> tuple[TrainingData, Path]:
    """The rows with negatives, and the folder of the model to start from."""
    work.mkdir(parents=True, exist_ok=True)
    start, mined = work / "start", work / "mined.jsonl"
    if mined.exists():
        return read_training_data(mined), start
    pairs = read_training_data(collect_pairs(sources))
    model, _ = load("cpu", head=None)
    model.eval()
    whole = Encoder(model, "all-MiniLM-L6-v2").compute_in("bfloat16")
    axes = principal_head(whole.encode_document(pairs.columns["positive"][:HEAD_TEXTS], _progress), 96)
    save_head(axes, work / "head")
    model, _ = load("cpu", head=work / "head")
    model.save(str(start))
    model.eval()
    encoder = Encoder(model, str(start)).compute_in("bfloat16")
    mine(encoder, pairs, settings=MiningSettings(negatives=1, depth=30, skip=2)).save(mined)
    return read_training_data(mined), start


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("assets/head"))
    parser.add_argument("--work", type=Path, default=Path("adapter-run"), help="stages; delete it to begin anew")
    parser.add_argument("--documentation", type=int, default=Sources.documentation, help="pairs from documentation")
    parser.add_argument("--pairs", type=Path, action="append", default=[], help="a file of pairs; may be repeated")
    parser.add_argument("--from-pairs", type=int, default=Sources.from_files, help="rows of each kind from each file")
    parser.add_argument("--collection", action="append", default=[], help="gives title and body pairs; repeatable")
    parser.add_argument("--from-collection", type=int, default=Sources.from_collections, help="rows from each")
    parser.add_argument("--share", type=float, default=1.0, help="of the way from the old weights to the new ones")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sources = Sources(given.documentation, tuple(given.pairs), given.from_pairs, tuple(given.collection),
                      given.from_collection, given.seed)  # fmt: skip
    settings = TrainSettings(loss="contrastive", temperature=given.temperature, batch=given.batch,
                             learning_rate=given.learning_rate, max_steps=given.steps, lora_rank=given.rank,
                             dtype=given.dtype, seed=given.seed, device="cpu", mini_batch_tokens=1024,
                             save_every=20, query_length=48, document_length=160)  # fmt: skip
    print(json.dumps(train_adapter(given.work, given.output, sources, settings, given.share), indent=1))


if __name__ == "__main__":
    main()
