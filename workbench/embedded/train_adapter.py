"""Train an adapter and a head for the embedded model; `benchmarks/notes/training.md` has a command and its scores.

python -m workbench.embedded.train_adapter --work FOLDER --output assets/head

The pairs and the untrained model's vectors of them are kept in the work folder; a second call takes them from there.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine import Encoder, TokenEmbeddings, load_collection
from engine.adapter import adapter_rank, low_rank_changes, save_adapter
from engine.storage import replace_text
from engine.training import read_training_data
from engine.training.head import principal_head, save_head
from workbench.embedded.fit_adapter import AdapterSettings, Source, fit_adapter
from workbench.embedded.model import ADAPTER_FILE, DOCUMENT_LENGTH, QUERY_LENGTH, load
from workbench.embedded.teacher import Teacher
from workbench.embedded.training_texts import PAIR_PACKAGES, cloze_pairs, documentation_pairs, title_pairs

DIM = 96
FEWEST_ROWS = 200  # of a source: batches from fewer would repeat themselves
HEAD = "1.linear.weight"
Rows = list[dict[str, str]]


def collect(documentation: int, files: list[Path], collections: list[str], most: int, seed: int) -> dict[str, Rows]:
    """Draw the pairs of every source.

    Args:
        documentation: Pairs of a summary and what follows it, from installed packages.
        files: Files of pairs: of each, some rows as they are and, of other rows, inverse cloze pairs.
        collections: Collections whose document texts give title and body pairs and inverse cloze pairs; their
            questions and judgements are not looked at.
        most: Rows of each kind from each file and collection.
        seed: Seed of every choice.

    Returns:
        Source -> rows with "query" and "positive".
    """
    generator = random.Random(seed)
    found: dict[str, Rows] = {}
    if documentation:
        found["documentation"] = documentation_pairs(documentation, seed)
    for path in files:
        rows = read_training_data(path).rows()
        rows = generator.sample(rows, len(rows))
        found[path.parent.name] = rows[:most]
        found[f"{path.parent.name}-cloze"] = cloze_pairs([row["positive"] for row in rows[most:]], seed)[:most]
    for name in collections:
        texts = list(load_collection(name).documents.values())
        for kind, rows in (("title", title_pairs(texts)), ("cloze", cloze_pairs(texts, seed))):
            if len(rows) >= FEWEST_ROWS:
                found[f"{Path(name).name}-{kind}"] = generator.sample(rows, min(most, len(rows)))
    return found


def prepare(work: Path, pairs: dict[str, Rows]) -> list[Source]:
    """Write the pairs and the untrained model's vectors of them, unless they are there, and read them.

    Args:
        work: The folder.
        pairs: From `collect`.

    Returns:
        The sources.
    """
    encoder = None
    for name, rows in pairs.items():
        folder = work / name
        if (folder / "rows.jsonl").exists():
            continue
        if encoder is None:
            model, _ = load("cpu", head=None)
            model.eval()
            encoder = Encoder(model, "all-MiniLM-L6-v2").compute_in("bfloat16")
        print(f"{name}: {len(rows)} pairs", file=sys.stderr, flush=True)
        encoder.encode_query([row["query"] for row in rows]).astype("float16").save(folder / "queries")
        encoder.encode_document([row["positive"] for row in rows]).astype("float16").save(folder / "documents")
        replace_text(folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return list(_read(work, list(pairs)))


def train_adapter(
    work: Path, output: Path, sources: list[Source], settings: AdapterSettings, start: Path | None = None
) -> dict[str, Any]:
    """Train, and write the adapter and the head.

    Args:
        work: Where the principal axes are kept.
        output: Folder of `config.json`, `model.safetensors` (the head) and `adapter.safetensors`.
        sources: Of the pairs.
        settings: Of the fit.
        start: Folder of an adapter and head to go on from; the ranks of both adapters add up. None starts with the
            packaged weights and the principal axes of the documents' vectors.

    Returns:
        What a record needs beside settings: first and last losses, seconds.
    """
    if start is None:
        sample = [vectors for source in sources for vectors in list(source.teacher.documents)[:500]]
        save_head(principal_head(TokenEmbeddings.from_list(sample), DIM), work / "axes")
    model, _ = load("cpu", head=start or work / "axes")
    packaged = load("cpu", head=None)[0].state_dict()
    losses: list[tuple[float, float]] = []
    started = time.perf_counter()

    def on_step(step: int, contrast: float, divergence: float) -> None:
        losses.append((contrast, divergence))
        print(f"step {step} of {settings.steps}: {contrast:.3f} and {divergence:.3f}", file=sys.stderr, flush=True)

    fit_adapter(model, sources, settings, on_step)
    after = model.state_dict()
    save_head(after[HEAD].numpy(), output)
    rank = settings.rank + (0 if start is None else adapter_rank(start / ADAPTER_FILE))
    backbone = {name: value for name, value in after.items() if name != HEAD}
    save_adapter(low_rank_changes(packaged, backbone, rank), output / ADAPTER_FILE)
    return {"first_losses": losses[:10], "last_losses": losses[-10:], "seconds": time.perf_counter() - started}


def _read(work: Path, names: list[str]) -> Iterator[Source]:
    tokenizer = load("cpu", head=None)[0].tokenizer
    for name in names:
        rows = [json.loads(line) for line in (work / name / "rows.jsonl").read_text().splitlines()]
        queries, documents = [row["query"] for row in rows], [row["positive"] for row in rows]
        query_ids, document_ids = (
            tokenizer(texts, truncation=True, max_length=length)["input_ids"]
            for texts, length in ((queries, QUERY_LENGTH), (documents, DOCUMENT_LENGTH))
        )
        query_vectors, document_vectors = (
            TokenEmbeddings.open(work / name / kind) for kind in ("queries", "documents")
        )
        yield Source(queries, documents, Teacher(query_ids, document_ids, query_vectors, document_vectors))


def _version(package: str) -> str | None:
    try:
        return version({"sklearn": "scikit-learn", "PIL": "pillow", "bs4": "beautifulsoup4"}.get(package, package))
    except PackageNotFoundError:
        return None


def main() -> None:
    """Read the arguments and train."""
    standard = AdapterSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("assets/head"))
    parser.add_argument("--work", type=Path, default=Path("adapter-run"))
    parser.add_argument("--start", type=Path, help="folder of an adapter and head to go on from")
    parser.add_argument("--documentation", type=int, default=3000, help="pairs from documentation")
    parser.add_argument("--pairs", type=Path, action="append", default=[], help="a file of pairs; may be repeated")
    parser.add_argument("--collection", action="append", default=[], help="its texts give title and body pairs")
    parser.add_argument("--most", type=int, default=1000, help="pairs of each kind from each file and collection")
    for name, value in asdict(standard).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = parser.parse_args()
    settings = AdapterSettings(**{name: getattr(given, name) for name in asdict(standard)})
    drawn = given.work / "pairs.json"
    if not drawn.exists():
        given.work.mkdir(parents=True, exist_ok=True)
        pairs = collect(given.documentation, given.pairs, given.collection, given.most, given.seed)
        replace_text(drawn, json.dumps(pairs))
    pairs = json.loads(drawn.read_text())
    found = train_adapter(given.work, given.output, prepare(given.work, pairs), settings, given.start)
    record = {
        "settings": asdict(settings),
        "pairs": {name: len(rows) for name, rows in pairs.items()},
        "packages": {name: known for name in PAIR_PACKAGES if (known := _version(name))},
        "python": platform.python_version(),
        "torch": version("torch"),
        **found,
    }
    replace_text(given.output / "training.json", json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
