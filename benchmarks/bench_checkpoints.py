"""How near the vectors of published checkpoints' layouts are to the two reference implementations.

`python -m benchmarks.bench_checkpoints --pylate ENV/bin/python --output docs/checkpoints.md` makes each checkpoint of
`benchmarks.checkpoints` with random weights, encodes with this project, with sentence-transformers, and with PyLate in
an environment of its own, before and after a training step, and writes the table between the markers of the page.
`--full` takes the sizes of the published models, which takes minutes and 16 GB of memory for the largest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checkpoints import SHAPES, TEXTS, Shape, make
from engine import Encoder, create_index, explain
from workbench.exports import markdown_table

QUESTIONS = ["where are the clocks", "a boat in the storm; and bread"]
LONG = " ".join(TEXTS * 20)
BEGIN, END = "<!-- checkpoints: generated, do not edit -->", "<!-- end of checkpoints -->"
PYLATE = """
import json, sys
import numpy as np
from pylate import models
texts, questions = map(json.loads, sys.argv[1:3])
for folder in sys.argv[3:]:
    try:
        model = models.ColBERT(f"{folder}/model", device="cpu", trust_remote_code=True)
        found = {}
        for name, rows, query in (("document", texts, False), ("query", questions, True)):
            for number, vectors in enumerate(model.encode(rows, is_query=query, show_progress_bar=False)):
                found[f"{name}{number}"] = np.asarray(vectors, np.float32)
        np.savez(f"{folder}/pylate.npz", **found)
    except Exception as error:
        with open(f"{folder}/pylate.txt", "w") as stream:
            stream.write((str(error).splitlines() or [type(error).__name__])[0])
"""
Vectors = dict[str, np.ndarray]


def ours(encoder: Encoder) -> Vectors:
    documents, queries = encoder.encode_document([*TEXTS, LONG]), encoder.encode_query(QUESTIONS)
    found = {f"document{i}": np.asarray(documents[i], np.float32) for i in range(len(documents))}
    return found | {f"query{i}": np.asarray(queries[i], np.float32) for i in range(len(queries))}


def of_library(folder: Path, trusted: bool) -> Vectors:
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(folder), device="cpu", trust_remote_code=trusted).eval()
    found = {f"document{i}": np.asarray(v, np.float32)
             for i, v in enumerate(model.encode_document([*TEXTS, LONG], convert_to_numpy=True))}  # fmt: skip
    asked = model.encode_query(QUESTIONS, convert_to_numpy=True)
    return found | {f"query{i}": np.asarray(v, np.float32) for i, v in enumerate(asked)}


def run_pylate(python: str, folders: Sequence[Path]) -> None:
    """Let PyLate encode with the model in each folder, all in one process of its environment."""
    words = [python, "-c", PYLATE, json.dumps([*TEXTS, LONG]), json.dumps(QUESTIONS), *map(str, folders)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)


def from_pylate(mine: Vectors, folder: Path) -> str:
    """How far its vectors are from ours, or why it has none."""
    kept, why = folder / "pylate.npz", folder / "pylate.txt"
    if not kept.exists():
        return f"does not load it: {why.read_text()[:90]}" if why.exists() else "not run"
    with np.load(kept) as theirs:
        return difference(mine, {name: theirs[name] for name in theirs.files})


def difference(mine: Vectors, theirs: Vectors) -> str:
    """Largest difference of a component, or how the counts of vectors differ."""
    other = [name for name in mine if mine[name].shape != theirs[name].shape]
    if other:
        return f"other counts: {len(mine[other[0]])} and {len(theirs[other[0]])} vectors"
    most = max(float(np.abs(mine[name] - theirs[name]).max()) for name in mine)
    return f"{most:.1e}" if most else "equal"


def step(folder: Path, output: Path) -> None:
    """One training step of this project on pairs of the texts."""
    from engine.training import TrainSettings, fine_tune, read_training_data

    rows = [{"query": " ".join(text.split()[:4]), "positive": text} for text in TEXTS]
    settings = TrainSettings(base=str(folder), batch=4, max_steps=1, learning_rate=1e-3, warmup=0, device="cpu",
                             output=str(output))  # fmt: skip
    fine_tune(settings, read_training_data(rows))


def tried(entry: Shape, scratch: Path) -> dict[str, Any]:
    """What one checkpoint came to; it lies in the folder "model" of the scratch folder."""
    folder, trained = scratch / "model", scratch / "trained"
    encoder = Encoder.load(str(folder), device="cpu", dtype="float32", trust_remote_code=entry.remote)
    row: dict[str, Any] = {"model": entry.model, "layout": entry.layout, "backbone": entry.backbone, "dim": encoder.dim}
    row["lengths"] = f"{encoder.max_length('query')} / {encoder.max_length('document')}"
    mine = ours(encoder)
    row["library"] = difference(mine, of_library(folder, entry.remote))
    row["pylate"] = from_pylate(mine, scratch)
    documents = encoder.encode_document(TEXTS)
    index = create_index("plaid", scratch / "index", bits=8)
    index.add([str(i) for i in range(len(TEXTS))], documents)
    assert len(index.search(encoder.encode_query(QUESTIONS), 3)[0]) == 3
    assert explain(encoder, QUESTIONS[0], TEXTS[1]).score > 0
    if not entry.remote:
        step(folder, trained)
        again = Encoder.load(str(trained), device="cpu", dtype="float32")
        row["library after a step"] = difference(ours(again), of_library(trained, False))
    return row


def table(rows: list[dict[str, Any]]) -> str:
    head = ("checkpoint", "layout", "backbone", "dim", "query / document length", "from sentence-transformers",
            "after a training step", "from PyLate")  # fmt: skip
    cells = [
        (row["model"], row["layout"], row["backbone"], row["dim"], row["lengths"], row["library"],
         row.get("library after a step", "not trained"), row.get("pylate", "not run"))
        for row in rows
    ]  # fmt: skip
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="names of checkpoints; repeatable")
    parser.add_argument("--pylate", help="the Python of an environment with pylate 1.6")
    parser.add_argument("--full", action="store_true", help="sizes of the published models")
    parser.add_argument("--output", type=Path, help="a page with the markers of the table")
    options = parser.parse_args()
    chosen = [entry for entry in SHAPES if not options.only or entry.name in options.only]
    root = Path(tempfile.mkdtemp())
    try:
        for entry in chosen:
            make(entry, root / entry.name / "model", options.full)
        if options.pylate:
            run_pylate(options.pylate, [root / entry.name for entry in chosen])
        rows = [tried(entry, root / entry.name) for entry in chosen]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    peer = ""
    if options.pylate:
        asked = [options.pylate, "-c", "from importlib.metadata import version; print(version('pylate'))"]
        peer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    made = table(rows) + (
        f"\nsentence-transformers {version('sentence-transformers')}, PyLate {peer or 'not run'}, "
        f"{'published' if options.full else 'small'} sizes, random weights, float32 on a processor.\n"
    )
    if options.output is None:
        print(made)
        return
    text = options.output.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    options.output.write_text(f"{before}{BEGIN}\n\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
