"""Train a head of nested vectors, query weights and mean tokens for the embedded model.

python -m benchmarks.embedded_head.train --work FOLDER --output assets/head --pairs medquad/train-pairs.jsonl \
    --held-out cranfield --held-out cisi --held-out med --held-out npl --held-out-judged medquad

Pairs are drawn from installed packages, from packages of Debian and from the files given; rows that share text with a
held-out collection are refused. Pairs and the vectors of the frozen backbone are kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedded_head.debian_texts import SOURCES, rows_of
from benchmarks.embedded_head.fit_head import HeadSettings, Pairs, begin_head, encode, fit_head
from benchmarks.embedded_head.overlap import Seen
from benchmarks.embedded_head.training_texts import documentation_pairs, halves
from engine import Collection, Encoder, TokenEmbeddings, load_collection, maxsim, pool
from engine.errors import InputError
from engine.late_head import LateHead
from engine.precision import choose_dtype, instructions
from engine.storage import replace_text
from engine.training import read_training_data
from workbench.embedded.docstrings import cut
from workbench.embedded.model import DOCUMENT_LENGTH, QUERY_LENGTH, load

# Rows of a source: dictionaries have tens of thousands, questions that people asked a few hundred.
MOST = {"wordnet": 3500, "dictionary": 2000, "computing": 2000, "jargon": 700, "packages": 2500}
MOST_ELSE, MOST_OF_A_FILE = 900, 2500
DEVELOPMENT = 150  # rows of a source that are not trained on, a quarter of it at most
CROWD = 600  # documents that a development question is asked among
MOST_WORDS = 200
FIXED = ("nested", "pool_factors")  # settings that the command does not offer
Rows = list[dict[str, str]]


def collect(work: Path, files: Sequence[Path], seen: Seen, seed: int) -> dict[str, dict[str, int]]:
    """Draw the pairs of every source, leave out what test collections hold, and write the rest.

    Args:
        work: Gets `rows/SOURCE.jsonl`.
        files: Files of pairs.
        seen: The test collections.
        seed: Of every choice.

    Returns:
        Source -> rows kept, and rows refused because a test collection holds their text.
    """
    drawn: dict[str, Rows] = {name: rows_of(name, work / "packages") for name in SOURCES}
    drawn["packages"] = documentation_pairs(2 * MOST["packages"], seed)
    for path in files:
        rows = read_training_data(path).rows()
        drawn[path.parent.name] = [
            {"query": row["query"], "positive": cut(row["positive"], MOST_WORDS)} for row in rows
        ]
    counted, texts = {}, []
    for name, rows in drawn.items():
        most = MOST.get(name, MOST_ELSE if name in SOURCES else MOST_OF_A_FILE)
        chosen = random.Random(seed).sample(rows, min(len(rows), 2 * most))
        kept, refused = seen.sift(chosen)
        counted[name] = {"kept": len(kept[:most]), "refused": refused}
        texts += [row["positive"] for row in kept[:most]]
        _write(work, name, kept[:most])
    cut_in_two = halves(texts, MOST_OF_A_FILE, seed)
    counted["halves"] = {"kept": len(cut_in_two), "refused": 0}  # of texts that were sifted
    _write(work, "halves", cut_in_two)
    return counted


def _write(work: Path, name: str, rows: Rows) -> None:
    (work / "rows").mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    replace_text(work / "rows" / f"{name.replace(' ', '-')}.jsonl", lines)


def read_pairs(work: Path) -> dict[str, Pairs]:
    """The pairs with the frozen backbone's vectors, computed where they are not there yet.

    Args:
        work: With the rows of `collect`.

    Returns:
        Source -> pairs.
    """
    model, note = load("cpu", head=None)
    model.eval()
    dtype, _ = choose_dtype("embedded", "cpu", instructions("cpu"))
    encoder = Encoder(model, "all-MiniLM-L6-v2", note).compute_in(dtype)
    found = {}
    for path in sorted((work / "rows").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        texts = [row["query"] for row in rows], [row["positive"] for row in rows]
        folders = work / "vectors" / path.stem / "queries", work / "vectors" / path.stem / "documents"
        if not (folders[1] / "manifest.json").exists():
            print(f"encoding {len(rows)} pairs of {path.stem}", file=sys.stderr, flush=True)
            encoder.encode_query(texts[0]).astype("float16").save(folders[0])
            encoder.encode_document(texts[1]).astype("float16").save(folders[1])
        query_ids, document_ids = (
            model.tokenizer(side, truncation=True, max_length=length)["input_ids"]
            for side, length in zip(texts, (QUERY_LENGTH, DOCUMENT_LENGTH), strict=True)
        )
        queries, documents = (TokenEmbeddings.open(folder) for folder in folders)
        found[path.stem] = Pairs(query_ids, document_ids, queries, documents)
    return found


def split(pairs: Pairs, seed: int = 0) -> tuple[Pairs, Pairs, int]:
    """Pairs to train on; pairs to develop on, their questions first and documents to fill the crowd behind them.

    Args:
        pairs: Of one source.
        seed: Of the choice.

    Returns:
        To train on, to develop on, and how many of the latter are asked.
    """
    order = np.random.default_rng(seed).permutation(len(pairs))
    asked = min(DEVELOPMENT, len(pairs) // 4)
    return pairs.select(order[asked:].tolist()), pairs.select(order[:CROWD].tolist()), asked


def known_item(scores: np.ndarray) -> float:
    """Mean nDCG@10 of scores [m, n] where the i-th question has the i-th document alone to find."""
    rank = 1 + (scores > scores.diagonal()[:, None]).sum(1)
    return float(np.where(rank <= 10, 1 / np.log2(1 + rank), 0).mean())


def development_scores(
    head: LateHead | None, parts: dict[str, tuple[Pairs, int]], dim: int = 0, factor: float = 1
) -> dict[str, float]:
    """nDCG@10 on the development part of every source.

    Args:
        head: None scores the backbone's own vectors.
        parts: Source -> pairs, and how many are asked.
        dim: Leading coordinates of the head's vectors.
        factor: Pool factor of the documents.

    Returns:
        Source -> nDCG@10, and "mean".
    """
    import torch

    found = {}
    for name, (pairs, asked) in parts.items():
        queries, documents = pairs.queries, pairs.documents
        if head is not None:
            with torch.no_grad():
                sides = encode(head, pairs)
            queries, documents = (
                TokenEmbeddings(side.values.numpy(), side.offsets.numpy(), added=len(head.added_tokens)).prefix(dim)
                for side in sides
            )
        documents = pool(documents, factor) if factor > 1 else documents
        found[name] = known_item(maxsim(queries.select(range(asked)), documents))
    return {**found, "mean": float(np.mean(list(found.values())))}


def train(
    work: Path, output: Path, settings: HeadSettings, counted: dict[str, dict[str, int]], left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Fit the head and write it with a record of how.

    Args:
        work: With the rows of `collect`.
        output: Folder of `config.json`, `model.safetensors` and `training.json`.
        settings: Of the fit.
        counted: From `collect`.
        left_out: Sources to measure only. Settings are chosen by what they give on sources that they did not see.

    Returns:
        The record.
    """
    parts = {name: split(pairs) for name, pairs in read_pairs(work).items()}
    if not {*left_out} < {*parts}:
        raise InputError(f"Expected some of the sources {', '.join(parts)} to leave out, got {', '.join(left_out)}.")
    asked = left_out or list(parts)
    development = {name: parts[name][1:] for name in asked}
    sources = [pairs for name, (pairs, _, _) in parts.items() if name not in left_out]
    head = begin_head(sources, len(load("cpu", head=None)[0].tokenizer), settings)
    scores = {"untrained, 384": development_scores(None, development)}
    scores |= {f"begun, {key}": value for key, value in _all_scores(head, development, settings).items()}
    losses: list[tuple[float, float]] = []
    started = time.perf_counter()

    def on_step(step: int, contrast: float, distance: float) -> None:
        losses.append((contrast, distance))
        if step % 50 == 0:
            print(f"step {step} of {settings.steps}: {contrast:.3f} and {distance:.3f}", file=sys.stderr, flush=True)

    fit_head(head, sources, settings, on_step)
    seconds = time.perf_counter() - started
    scores |= {f"fitted, {key}": value for key, value in _all_scores(head, development, settings).items()}
    output.mkdir(parents=True, exist_ok=True)
    head.half().save(str(output))
    record = {
        "settings": asdict(settings),
        "rows": counted,
        "left out": [*left_out],
        "development nDCG@10": scores,
        "first_losses": losses[:5],
        "last_losses": losses[-5:],
        "seconds": seconds,
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    replace_text(output / "training.json", json.dumps(record, indent=1) + "\n")
    return record


def _all_scores(
    head: LateHead, development: dict[str, tuple[Pairs, int]], settings: HeadSettings
) -> dict[str, dict[str, float]]:
    """Scores by dimension, and by pool factor at the whole one."""
    found = {str(dim): development_scores(head, development, dim) for dim in settings.nested}
    for factor in settings.pool_factors:
        found[f"{settings.dim}, pool factor {factor}"] = development_scores(head, development, settings.dim, factor)
    return found


def judged_part(collection: Collection) -> Collection:
    """The questions of a collection and the documents that are judged for them."""
    judged = {name for grades in collection.qrels.values() for name in grades}
    documents = {name: text for name, text in collection.documents.items() if name in judged}
    return Collection(documents, collection.queries, name=collection.name)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("assets/head"))
    parser.add_argument("--work", type=Path, default=Path("scratch/head"))
    parser.add_argument("--pairs", type=Path, action="append", default=[], help="a file of pairs; may be repeated")
    parser.add_argument("--held-out", action="append", default=[], help="a collection whose texts are refused")
    parser.add_argument("--held-out-judged", action="append", default=[], help="the same for its judged documents")
    parser.add_argument("--leave-out", action="append", default=[], help="a source to measure only; may be repeated")
    for entry in fields(HeadSettings):
        if entry.name not in FIXED:
            kind = type(getattr(HeadSettings(), entry.name))
            parser.add_argument(f"--{entry.name.replace('_', '-')}", type=kind, default=entry.default)
    given = parser.parse_args()
    settings = HeadSettings(**{e.name: getattr(given, e.name) for e in fields(HeadSettings) if e.name not in FIXED})
    counts = given.work / "counts.json"
    if not counts.exists():
        collections = [load_collection(name) for name in ("embedded", *given.held_out)]
        collections += [judged_part(load_collection(name)) for name in given.held_out_judged]
        replace_text(counts, json.dumps(collect(given.work, given.pairs, Seen(collections), settings.seed)))
    print(
        json.dumps(train(given.work, given.output, settings, json.loads(counts.read_text()), given.leave_out), indent=1)
    )


if __name__ == "__main__":
    main()
