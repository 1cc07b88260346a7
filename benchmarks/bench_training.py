"""Our cached contrastive loss beside the library's: seconds a step, peak memory, largest batch; and domain fine-tuning.

python -m benchmarks.bench_training step --batch 256 --pairs ../shared/collections/medquad/train-pairs.jsonl
python -m benchmarks.bench_training domain --collection ../shared/collections/medquad --minutes 20
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def one_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process: a warm-up on eight rows, then one step with the peak of the resident set above it."""
    import psutil
    import torch

    from engine.training import TrainSettings, read_training_data
    from engine.training.losses import ContrastiveLoss
    from engine.training.model import load_for_training

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    data = read_training_data(arguments.pairs, limit=arguments.batch)
    model = load_for_training(TrainSettings(device="cpu")).model
    model.train()

    def columns(rows: int) -> list[dict[str, Any]]:
        limits = {"query": arguments.query_length, "document": arguments.document_length}
        return [
            {**model.preprocess(data.columns[name][:rows], task=task, max_length=limits[task]), "task": task}
            for name, task in (("query", "query"), ("positive", "document"))
        ]

    if arguments.way == "library":
        from sentence_transformers.multi_vector_encoder.losses import CachedMultiVectorMultipleNegativesRankingLoss

        loss: Any = CachedMultiVectorMultipleNegativesRankingLoss(model, mini_batch_size=16)
    else:
        loss = ContrastiveLoss(model, mini_batch_tokens=arguments.tokens, graph_tokens=arguments.tokens)
    loss(columns(min(8, arguments.batch))).backward()  # gradients exist and kernels are compiled from here on
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
    value = loss(batch)
    value.backward()
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    running = False
    watcher.join()
    return {
        "way": arguments.way,
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
                   "--document-length", str(arguments.document_length)]  # fmt: skip
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
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"training-step-{arguments.batch}.json"
    path.write_text(json.dumps({"command": " ".join(sys.argv[1:]), "runs": found}, indent=1) + "\n")


def domain(arguments: argparse.Namespace) -> None:
    """Fine-tune on a collection's training pairs for some minutes of processor time; nDCG@10 before and after."""
    from engine import load_collection
    from engine.training import Event, Step, Stop, TrainSettings, development_sample, fine_tune, read_training_data

    folder = Path(arguments.collection)
    collection = load_collection(str(folder))
    if arguments.sample:
        collection = development_sample(collection, arguments.sample, 8 * arguments.sample)
    stop, begun = Stop(), time.process_time()

    def on_event(event: Event) -> None:
        if isinstance(event, Step):
            if event.step % 10 == 0:
                print(json.dumps(event.as_dict()), flush=True)
            if time.process_time() - begun > 60 * arguments.minutes:
                stop.set()

    settings = TrainSettings(batch=arguments.batch, learning_rate=5e-5, document_length=arguments.document_length,
                             max_steps=arguments.max_steps, output=arguments.output)  # fmt: skip
    report = fine_tune(settings, read_training_data(folder / "train-pairs.jsonl"), on_event, collection, stop=stop)
    record = {**report.as_dict(), "losses": report.losses[-20:], "collection": collection.describe()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"training-domain-{folder.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    assert report.before is not None
    assert report.after is not None
    print(f"{folder.name}: {report.before.ndcg:.4f} -> {report.after.ndcg:.4f}, p = {report.p_value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("step", "domain"))
    parser.add_argument("--way", choices=("both", "ours", "library"), default="both")
    parser.add_argument("--inside", action="store_true", help="measure in this process and print one line of JSON")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=1024, help="tokens of a mini-batch")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--query-length", type=int, default=32)
    parser.add_argument("--document-length", type=int, default=180)
    parser.add_argument("--pairs", default="../shared/collections/medquad/train-pairs.jsonl")
    parser.add_argument("--collection", default="../shared/collections/medquad")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--max-steps", type=int, default=200)
    parser.add_argument("--sample", type=int, default=0, help="judged queries of a sample to evaluate on; 0 for all")
    parser.add_argument("--output", default="medquad-model")
    arguments = parser.parse_args()
    if arguments.what == "domain":
        domain(arguments)
    elif arguments.inside:
        print(json.dumps(one_step(arguments)))
    else:
        step(arguments)


if __name__ == "__main__":
    main()
