"""What training changes: pool factors in the loss, noise of few bits, scorers; and what a first run on the page gains.

python -m benchmarks.bench_trained pooled --pairs ../shared/collections/medquad
python -m benchmarks.bench_trained scorers --pairs ../shared/collections/medquad
python -m benchmarks.bench_trained first --seeds 5
python -m benchmarks.bench_trained step --batch 64

`pooled` and `scorers` train the embedded model's head on vectors of its frozen backbone, each text encoded once for all
ways of training; every way sees the same batches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bench_scorers import write
from benchmarks.machine import describe, save
from engine import Collection, Encoder, load_collection
from engine.maxsim import scorers
from engine.sampling import sample
from engine.statistics import p_value, paired
from engine.training import Score, TrainingData, TrainSettings, read_training_data
from engine.training.development import pooled_scores
from engine.training.frozen import remembered_backbone
from engine.training.model import build_loss, load_for_training, prepare
from engine.training.targets import Targets, sampled_noise

FACTORS = (1, 2, 4)
COLLECTIONS = ("embedded", "cranfield", "cisi", "med", "npl")
TRAINED = (
    "maxsim", "mean-maxsim", "xtr:retrieved=1000,in_batch=128", "smooth-maxsim:temperature=0.1,final=0.01",
    "smooth-maxsim:temperature=0.02", "top-mean:m=2", "weighted-maxsim", "lite",
)  # fmt: skip


INTRODUCTION = """nDCG@10 of the embedded model whose head was trained with each scorer on {rows:,} pairs of medquad,
{steps} steps of {batch}, the backbone as it was, and which is searched with that scorer; every scorer saw the same
batches. In brackets the paired difference to MaxSim trained alike; a star where its 95% interval over questions leaves
zero out. Written by `python -m benchmarks.bench_trained scorers`; intervals and p are in
`benchmarks/results/trained-scorers.json`.

- `xtr` trains on what each query token retrieves in the batch (`in_batch`): what is not retrieved counts nothing, and
  the sum is divided by the number of query tokens that found something. Searches put the last retrieved similarity in
  place of what is missing.
- `smooth-maxsim:temperature=0.1,final=0.01` sharpens from step to step; searches use the end.
- `lite` adds a small network to MaxSim, on the 16 largest similarities of each of up to 32 query tokens. For a query of
  12 tokens it takes 11,520 multiplications a document beside MaxSim, which takes 96,000 to 200,000 for 64 to 130 tokens
  of 128 dimensions; its rows have to be sorted, which costs more than the products.

"""


class Bench:
    """The embedded model with its backbone frozen, and the head as it was.

    Args:
        arguments: Of the command.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.set_num_threads(arguments.threads)
        self.arguments = arguments
        self.settings = TrainSettings(
            base=arguments.model, train_only="head", batch=arguments.batch, learning_rate=arguments.learning_rate,
            max_steps=arguments.steps, document_length=arguments.document_length, device="cpu", seed=arguments.seed,
        )  # fmt: skip
        self.encoder = load_for_training(self.settings)
        self.model: Any = self.encoder.model
        prepare(self.model, self.settings)
        self.begun = {name: value.clone() for name, value in self.model.state_dict().items()}

    def fit(self, data: TrainingData, settings: TrainSettings) -> Any:
        """Train from the head as it was; returns the scorer."""
        self.model.load_state_dict(self.begun)
        noise = sampled_noise(self.encoder.encode_document, data.columns["positive"], settings.bits)
        torch.manual_seed(settings.seed)
        loss = build_loss(self.model, settings, noise)
        loss.answers = data.answers()
        learning = [p for p in (*self.model.parameters(), *loss.scorer.parameters()) if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate, weight_decay=0.0)
        warm = max(settings.max_steps // 10, 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (settings.max_steps - step) / settings.max_steps)
        )
        self.model.train()
        for step, rows in enumerate(batches(data, settings)):
            loss.scorer.anneal(step / max(settings.max_steps - 1, 1))
            value = loss(*self.columns(data.select(rows)))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            if step % 25 == 0:
                print(f"  step {step}: loss {value.item():.3f}", file=sys.stderr, flush=True)
        loss.scorer.anneal(1.0)
        self.model.eval()
        return loss.scorer

    def columns(self, rows: TrainingData) -> tuple[list[dict[str, Any]], torch.Tensor]:
        """What a loss takes."""
        lengths = {"query": None, "document": self.arguments.document_length}
        columns = []
        for name, texts in rows.columns.items():
            task = "query" if name == "query" else "document"
            length = {} if lengths[task] is None else {"max_length": lengths[task]}
            columns.append({**self.model.preprocess(texts, task=task, **length), "task": task})
        return columns, torch.tensor(rows.to_dataset(True)["label"])

    def scores(self, collection: Collection, factors: Sequence[float], scorer: Any) -> dict[float, Score]:
        """At each factor."""
        return pooled_scores(Encoder(self.model, "trained"), collection, factors, scorer)


def batches(data: TrainingData, settings: TrainSettings) -> Iterator[list[int]]:
    """Rows of each step, no text twice in one."""
    generator = np.random.default_rng(settings.seed)
    for _ in range(settings.max_steps):
        seen: set[str] = set()
        rows: list[int] = []
        for row in generator.permutation(len(data)).tolist():
            texts = {texts[row] for texts in data.columns.values()}
            if not texts & seen:
                rows.append(row)
                seen |= texts
            if len(rows) == settings.batch:
                break
        yield rows


def domain(arguments: argparse.Namespace) -> tuple[TrainingData, Collection]:
    """Training pairs of a collection without what its test holds, and a sample of its test."""
    folder = Path(arguments.pairs)
    whole = load_collection(str(folder))
    data = read_training_data(folder / "train-pairs.jsonl").check(None, whole)
    rows = np.sort(np.random.default_rng(arguments.seed).permutation(len(data))[: arguments.rows])
    return data.select(rows.tolist()), sample(whole, arguments.documents, arguments.questions)


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
    save(f"trained-pooled-{Path(arguments.pairs).name}", {**_origin(arguments), "rows": len(data), "ways": found,
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


def trained_scorers(arguments: argparse.Namespace) -> None:
    """Every scorer trained on the same batches and measured with itself: nDCG@10 and the difference to MaxSim."""
    bench, (data, test) = Bench(arguments), domain(arguments)
    folder = Path(arguments.pairs).parent
    names = [name for name in arguments.collections.split(",") if name]
    collections = [test, *(load_collection(name if name == "embedded" else str(folder / name)) for name in names)]
    found: dict[str, dict[str, Score]] = {}
    seconds: dict[str, float] = {}
    with remembered_backbone(bench.model, 12_000_000_000):
        for name in ("untrained", *TRAINED):
            scorer = scorers.get() if name == "untrained" else bench.fit(data, replace(bench.settings, scorer=name))
            cpu = time.process_time()
            found[name] = {collection.name: bench.scores(collection, (1,), scorer)[1] for collection in collections}
            seconds[name] = time.process_time() - cpu
            print(name, {key: round(score.ndcg, 4) for key, score in found[name].items()}, flush=True)
    table = {}
    for name, scores in found.items():
        table[name] = {"processor_seconds": seconds[name]}
        for key, score in scores.items():
            other = found["maxsim"][key].per_query
            table[name][key] = {
                "ndcg@10": [score.ndcg, score.low, score.high],
                "difference": list(paired(other, score.per_query)),
                "p_value": p_value(list(other.values()), list(score.per_query.values()), "randomization"),
            }
    save("trained-scorers", {**_origin(arguments), "rows": len(data), "scorers": table})
    write(trained=INTRODUCTION.format(rows=len(data), **vars(arguments)) + "\n".join(scorer_table(table)))


def scorer_table(table: dict[str, Any]) -> Iterator[str]:
    """The table of `docs/scorers.md`, line by line."""
    names = [name for name in next(iter(table.values())) if name != "processor_seconds"]
    yield "| trained scorer | " + " | ".join(names) + " |"
    yield "| --- |" + " --- |" * len(names)
    for scorer, record in table.items():
        cells = []
        for name in names:
            mean, difference = record[name]["ndcg@10"][0], record[name]["difference"]
            sure = "*" if difference[1] > 0 or difference[2] < 0 else ""
            apart = "" if scorer == "maxsim" else f" ({difference[0]:+.3f}{sure})"
            cells.append(f"{mean:.3f}{apart}")
        yield f"| {scorer} | " + " | ".join(cells) + " |"


def first(arguments: argparse.Namespace) -> None:
    """The run that the page Train offers first, with several seeds."""
    from apps.training_asked import first_request, read_request
    from engine.training import fine_tune

    collection, found = load_collection("embedded"), []
    for seed in range(arguments.seeds):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            request = {**first_request(arguments.way), "seed": str(seed), "name": f"first-{seed}"}
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
    save(f"trained-first-{arguments.way}", {**_origin(arguments), "runs": found})


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
    save("trained-step", {**_origin(arguments), "ratio": ratio, "seconds": {str(k): v for k, v in times.items()}})


def _origin(arguments: argparse.Namespace) -> dict[str, Any]:
    kept = {key: value for key, value in vars(arguments).items() if key not in ("what", "pairs", "model", "threads")}
    return {"settings": kept, "model": Path(arguments.model).name, "machine": describe()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pooled", "scorers", "first", "step"))
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
    parser.add_argument("--way", default="head", help="what learns in the first run: head, lora or all")
    arguments = parser.parse_args()
    ways = {"pooled": pooled, "scorers": trained_scorers, "first": first, "step": step}
    ways[arguments.what](arguments)


if __name__ == "__main__":
    main()
