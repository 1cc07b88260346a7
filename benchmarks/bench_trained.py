"""What training changes: pool factors in the loss, noise of few bits, scorers; and what a first run on the page gains.

python -m benchmarks.bench_trained pooled --pairs ../shared/collections/medquad
python -m benchmarks.bench_trained scorers --pairs ../shared/collections/medquad
python -m benchmarks.bench_trained first --seeds 5
python -m benchmarks.bench_trained step --batch 64
python -m benchmarks.bench_trained scorer-steps --batch 64 --threads 1

`pooled` and `scorers` train the embedded model's head on vectors of its frozen backbone, each text encoded once for all
ways of training; every way sees the same batches.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.head_bench import Bench, domain, origin
from benchmarks.machine import save
from benchmarks.trained_scorers import scorer_steps, trained_scorers
from engine import Collection, Encoder, load_collection
from engine.maxsim import scorers
from engine.statistics import p_value, paired
from engine.training import Score, TrainSettings
from engine.training.frozen import remembered_backbone
from engine.training.model import build_loss, load_for_training
from engine.training.targets import Targets

FACTORS = (1, 2, 4)
COLLECTIONS = ("embedded", "cranfield", "cisi", "med", "npl")


def pooled(arguments: argparse.Namespace) -> None:
    """Fine-tuning with and without pool factors, and with noise: nDCG@10 at each factor, with intervals."""
    bench, (data, test) = Bench(arguments), domain(arguments)
    plain = bench.settings
    ways = {
        "before": None,
        "trained at factor 1": plain,
        "trained at factors 1, 2, 4": replace(plain, pool_factors=FACTORS),
        "trained at factor 1 with noise of 2 bits": replace(plain, bits=2),
    }
    found: dict[str, Any] = {}
    with remembered_backbone(bench.model, 8_000_000_000):
        for name, settings in ways.items():
            cpu = time.process_time()
            scorer = scorers.get() if settings is None else bench.fit(data, settings)
            seconds = time.process_time() - cpu
            curve = bench.scores(test, FACTORS, scorer)
            found[name] = {"processor_seconds": seconds, **_quantised(bench, test, scorer), **_curve(curve)}
            print(json.dumps({name: {key: value for key, value in found[name].items() if key != "per_query"}}))
    first = found["trained at factor 1"]["per_query"]
    for name in ways:
        for factor in FACTORS:
            own = found[name]["per_query"][str(factor)]
            difference = paired(first[str(factor)], own)
            found[name].setdefault("against factor 1 alone", {})[str(factor)] = {
                "difference": list(difference),
                "p_value": p_value(list(first[str(factor)].values()), list(own.values()), "randomization"),
            }
    for record in found.values():
        record.pop("per_query")
    save(f"trained-pooled-{Path(arguments.pairs).name}", {**origin(arguments), "rows": len(data), "ways": found,
          "questions": len(test.judged_queries), "documents": len(test.documents)})  # fmt: skip


def _curve(curve: dict[float, Score]) -> dict[str, Any]:
    first = next(iter(curve.values())).ndcg
    return {
        "ndcg@10": {str(factor): [score.ndcg, score.low, score.high] for factor, score in curve.items()},
        "kept": {str(factor): score.ndcg / first for factor, score in curve.items()},
        "per_query": {str(factor): score.per_query for factor, score in curve.items()},
    }


def _quantised(bench: Bench, test: Collection, scorer: Any) -> dict[str, Any]:
    """nDCG@10 of exhaustive search on what a PLAID index of 2 bits stores."""
    from engine import create_index, evaluate

    encoder = Encoder(bench.model, "trained")
    documents = encoder.encode_document(list(test.documents.values()))
    queries = encoder.encode_query([test.queries[name] for name in test.judged_queries])
    with tempfile.TemporaryDirectory() as folder:
        index = create_index("plaid", Path(folder) / "index", bits=2, n_probe=32, n_full_scores=1000)
        index.add(list(test.documents), documents)
        found = index.search(queries, k=10)
    score = evaluate(dict(zip(test.judged_queries, found, strict=True)), test, ["ndcg@10"]).mean["ndcg@10"]
    return {"ndcg@10 in 2 bits": score}


def first(arguments: argparse.Namespace) -> None:
    """The run that the page Train offers first, with several seeds."""
    from apps.training_asked import first_request, read_request
    from engine.training import fine_tune

    collection, found = load_collection("embedded"), []
    for seed in range(arguments.seeds):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            request = {**first_request(arguments.way, collection), "seed": str(seed), "name": f"first-{seed}"}
            asked = read_request(request, collection)
            settings = replace(asked.settings, base=arguments.model, output=str(Path(folder) / "model"))
            report = fine_tune(settings, asked.data, development=asked.development, choosing=asked.choosing)
        assert report.before is not None
        assert report.after is not None
        found.append({
            "seed": seed, "before": report.before.ndcg, "after": report.after.ndcg, "p_value": report.p_value,
            "kept": report.kept, "steps": report.steps, "seconds": time.perf_counter() - began,
            "better": len(report.better), "worse": len(report.worse), "measured": report.measured,
        })  # fmt: skip
        print(json.dumps(found[-1]), flush=True)
    save(f"trained-first-{arguments.way}", {**origin(arguments), "runs": found})


def step(arguments: argparse.Namespace) -> None:
    """Processor time of a step with three pool factors over that of a plain one, all weights trained."""
    torch.set_num_threads(arguments.threads)
    data, _ = domain(arguments)
    settings = TrainSettings(base=arguments.model, device="cpu", document_length=arguments.document_length)
    bench = Bench(arguments)
    model: Any = load_for_training(settings).model.train()
    bench.model = model
    columns, labels = bench.columns(data.select(list(range(arguments.batch))))
    loss, times = build_loss(model, settings), {1: [], 3: []}
    targets = {1: loss.targets, 3: replace(loss.targets, factors=FACTORS)}
    for _ in range(3):
        for count, chosen in targets.items():
            loss.targets = chosen
            assert isinstance(chosen, Targets)
            cpu = time.process_time()
            loss([dict(column) for column in columns], labels).backward()
            times[count].append(time.process_time() - cpu)
    ratio = min(times[3]) / min(times[1])
    print(f"batch {arguments.batch}: a step with factors 1, 2, 4 takes {ratio:.2f} times the processor time")
    save("trained-step", {**origin(arguments), "ratio": ratio, "seconds": {str(k): v for k, v in times.items()}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pooled", "scorers", "first", "step", "scorer-steps"))
    parser.add_argument("--pairs", default="../shared/collections/medquad", help="a collection with train-pairs.jsonl")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--rows", type=int, default=2500, help="training pairs, a sample")
    parser.add_argument("--questions", type=int, default=400, help="test questions, a sample")
    parser.add_argument("--documents", type=int, default=2400, help="test documents, a sample")
    parser.add_argument("--collections", default=",".join(COLLECTIONS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--document-length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--way", default="all", help="what learns in the first run: head, lora or all")
    arguments = parser.parse_args()
    ways = {"pooled": pooled, "scorers": trained_scorers, "first": first, "step": step,
            "scorer-steps": scorer_steps}  # fmt: skip
    ways[arguments.what](arguments)


if __name__ == "__main__":
    main()
