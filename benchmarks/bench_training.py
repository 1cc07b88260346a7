"""Our cached contrastive loss beside the library's: seconds a step, peak memory, largest batch; and domain fine-tuning.

python -m benchmarks.bench_training step --batch 256 --pairs ../shared/collections/medquad/train-pairs.jsonl
python -m benchmarks.bench_training step --batch 256 --way ours --dtype bfloat16
python -m benchmarks.bench_training cosine --batch 64
python -m benchmarks.bench_training domain --collection ../shared/collections/medquad --minutes 20
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe

if TYPE_CHECKING:
    from engine.training import TrainingData

RESULTS = Path(__file__).parent / "results"
OTHERS = ("cranfield", "med")  # what fine-tuning on another domain must not cost


def one_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process: a warm-up on eight rows, then one step with the peak of the resident set above it."""
    import psutil
    import torch

    from engine.training.dropout import fast_dropout_on_cpu
    from engine.training.losses import ContrastiveLoss
    from engine.training.model import projection_in_float32

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, columns = _model_and_columns(arguments)
    model.train()
    if arguments.way == "library":
        from sentence_transformers.multi_vector_encoder.losses import CachedMultiVectorMultipleNegativesRankingLoss

        loss: Any = CachedMultiVectorMultipleNegativesRankingLoss(model, mini_batch_size=16)
    else:
        loss = ContrastiveLoss(model, mini_batch_tokens=arguments.tokens, graph_tokens=arguments.tokens)
    with torch.autocast("cpu", torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
        small = loss(columns(min(8, arguments.batch)))
    small.backward()  # gradients exist and kernels are compiled from here on
    model.zero_grad(set_to_none=False)
    batch = columns(arguments.batch)
    tokens = [int(column["attention_mask"].sum()) for column in batch]
    process = psutil.Process()
    base = process.memory_info().rss
    peak, running = base, True

    def watch() -> None:
        nonlocal peak
        while running:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    # What `fine_tune` does; the library's run is left as it is.
    with contextlib.ExitStack() as ours:
        if arguments.way == "ours":
            ours.enter_context(fast_dropout_on_cpu(model))
            ours.enter_context(projection_in_float32(model))
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
            value = loss(batch)
        value.backward()
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    running = False
    watcher.join()
    return {
        "way": arguments.way,
        "dtype": arguments.dtype,
        "batch": arguments.batch,
        "tokens": tokens,
        "loss": value.item(),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "bytes_above_model": peak - base,
        "load": os.getloadavg()[0],
        "threads": arguments.threads,
        "mini_batch_tokens": arguments.tokens if arguments.way == "ours" else None,
    }


def step(arguments: argparse.Namespace) -> None:
    """Both ways one after the other, each in its own process, on the same rows."""
    ways = ("ours", "library") if arguments.way == "both" else (arguments.way,)
    found = []
    for way in ways:
        command = [sys.executable, "-m", "benchmarks.bench_training", "step", "--way", way, "--inside",
                   "--batch", str(arguments.batch), "--pairs", str(arguments.pairs), "--tokens", str(arguments.tokens),
                   "--query-length", str(arguments.query_length), "--threads", str(arguments.threads),
                   "--document-length", str(arguments.document_length), "--dtype", arguments.dtype]  # fmt: skip
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(result.stdout.strip().splitlines()[-1]))
        print(json.dumps(found[-1]), flush=True)
    if len(found) == 2:
        ours, library = found
        print(
            f"batch {arguments.batch}: {ours['seconds'] / library['seconds']:.2f} times the library's wall time, "
            f"{ours['cpu_seconds'] / library['cpu_seconds']:.2f} of its processor time, "
            f"{ours['bytes_above_model'] / library['bytes_above_model']:.2f} of its memory"
        )
    kind = "" if arguments.way == "both" and arguments.dtype == "float32" else f"-{arguments.way}-{arguments.dtype}"
    record = {"command": " ".join(sys.argv[1:]), "machine": describe(), "runs": found}
    _save(f"training-step-{arguments.batch}{kind}", record)


def cosine(arguments: argparse.Namespace) -> None:
    """How far the gradient in bfloat16 points where that in float32 points, without dropout, all weights in a row."""
    import torch
    from torch.nn import functional

    from engine.training.losses import ContrastiveLoss
    from engine.training.model import projection_in_float32

    torch.set_num_threads(arguments.threads)
    model, columns = _model_and_columns(arguments)
    model.eval()
    loss = ContrastiveLoss(model, mini_batch_tokens=arguments.tokens, graph_tokens=arguments.tokens)
    found = []
    for enabled in (False, True):
        model.zero_grad()
        with projection_in_float32(model):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                value = loss(columns(arguments.batch))
            value.backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    value = functional.cosine_similarity(found[0].double(), found[1].double(), dim=0).item()
    print(f"batch {arguments.batch}: cosine of the gradients in float32 and bfloat16 {value:.5f}")
    command = " ".join(sys.argv[1:])
    _save(f"training-cosine-{arguments.batch}", {"command": command, "machine": describe(), "cosine": value})


def _model_and_columns(arguments: argparse.Namespace) -> tuple[Any, Callable[[int], list[dict[str, Any]]]]:
    """The model, and a function of how many rows to what a loss takes."""
    from engine.training import TrainSettings, read_training_data
    from engine.training.model import load_for_training

    data = read_training_data(arguments.pairs, limit=arguments.batch)
    model = load_for_training(TrainSettings(device="cpu")).model

    def columns(rows: int) -> list[dict[str, Any]]:
        limits = {"query": arguments.query_length, "document": arguments.document_length}
        return [
            {**model.preprocess(data.columns[name][:rows], task=task, max_length=limits[task]), "task": task}
            for name, task in (("query", "query"), ("positive", "document"))
        ]

    return model, columns


def domain(arguments: argparse.Namespace) -> None:
    """Fine-tune the embedded model on a collection's training pairs for some minutes of processor time."""
    from engine.training import Event, Started, Step, Stop, TrainSettings, fine_tune, read_training_data

    folder = Path(arguments.collection)
    stop, begun = Stop(), 0.0

    def on_event(event: Event) -> None:
        nonlocal begun
        if isinstance(event, Started):
            begun = time.process_time()
        if isinstance(event, Step):
            print(f"step {event.step}: loss {event.loss:.3f}, {event.tokens_per_second:.0f} tokens/s", flush=True)
            if time.process_time() - begun > 60 * arguments.minutes:
                stop.set()

    settings = TrainSettings(batch=arguments.batch, learning_rate=arguments.learning_rate, dtype=arguments.dtype,
                             mini_batch_tokens=arguments.tokens, max_steps=arguments.max_steps, device="cpu",
                             query_length=arguments.query_length, document_length=arguments.document_length,
                             output=arguments.output)  # fmt: skip
    data = _without_test_rows(read_training_data(folder / "train-pairs.jsonl"), folder)
    report = fine_tune(settings, data, on_event, stop=stop)
    record = {**report.as_dict(), "processor_minutes": (time.process_time() - begun) / 60, "machine": describe()}
    record["losses"] = report.losses[:5] + report.losses[-5:]
    record["settings"] = {**report.settings, "output": Path(arguments.output).name}
    _save(f"training-domain-{folder.name}", record)


def evaluate_domain(arguments: argparse.Namespace) -> None:
    """nDCG@10 before and after on a sample of the collection's test questions and on other collections, with p-values.

    The trained model's folder is that of `domain`; both models compute in bfloat16.
    """
    from engine import Encoder, load_collection
    from engine.sampling import sample
    from engine.statistics import p_value
    from engine.training import score_collection

    folder = Path(arguments.collection)
    collections = [load_collection(str(folder)), *(load_collection(str(folder.parent / name)) for name in OTHERS)]
    if arguments.sample:
        collections[0] = sample(collections[0], 8 * arguments.sample, arguments.sample)
    scores = [
        [score_collection(Encoder.load(name, "cpu", "bfloat16"), collection) for collection in collections]
        for name in ("embedded", arguments.output)
    ]
    found = {}
    for collection, before, after in zip(collections, *scores, strict=True):
        found[collection.name] = {
            "before": [before.ndcg, before.low, before.high],
            "after": [after.ndcg, after.low, after.high],
            "p_value": p_value(list(before.per_query.values()), list(after.per_query.values()), "randomization"),
            "queries": len(before.per_query),
            "documents": len(collection.documents),
        }
        print(f"{collection.name}: {before.ndcg:.4f} -> {after.ndcg:.4f}, p {found[collection.name]['p_value']:.3g}")
    sampled = {"sample": arguments.sample, "machine": describe()}
    _save(f"training-domain-{folder.name}-scores", {**sampled, **found})


def _without_test_rows(data: TrainingData, folder: Path) -> TrainingData:
    from engine import load_collection

    return data.check(None, load_collection(str(folder)))


def _save(name: str, record: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("step", "cosine", "domain", "evaluate-domain"))
    parser.add_argument("--way", choices=("both", "ours", "library"), default="both")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--inside", action="store_true", help="measure in this process and print one line of JSON")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=1024, help="tokens of a mini-batch")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--query-length", type=int, default=32)
    parser.add_argument("--document-length", type=int, default=180)
    parser.add_argument("--pairs", default="../shared/collections/medquad/train-pairs.jsonl")
    parser.add_argument("--collection", default="../shared/collections/medquad")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--max-steps", type=int, default=200)
    parser.add_argument("--sample", type=int, default=0, help="judged queries of a sample to evaluate on; 0 for all")
    parser.add_argument("--output", default="medquad-model")
    arguments = parser.parse_args()
    if arguments.what == "domain":
        domain(arguments)
    elif arguments.what == "evaluate-domain":
        evaluate_domain(arguments)
    elif arguments.what == "cosine":
        cosine(arguments)
    elif arguments.inside:
        print(json.dumps(one_step(arguments)))
    else:
        step(arguments)


if __name__ == "__main__":
    main()
