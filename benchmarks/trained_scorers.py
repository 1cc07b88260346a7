"""Every scorer trained on the same batches: what each gains, and what its steps cost.

Called by `python -m benchmarks.bench_trained scorers` and `python -m benchmarks.bench_trained scorer-steps`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bench_scorers import write
from benchmarks.data import cache_folder
from benchmarks.head_bench import Bench, batches, domain, origin
from benchmarks.machine import save
from engine import Collection, load_collection
from engine.maxsim import scorers
from engine.simd.threads import use_threads
from engine.statistics import bootstrap, p_value, paired
from engine.training import TrainingData
from engine.training.batches import encode_columns, join
from engine.training.frozen import remembered_backbone
from engine.training.losses import ALL_TOKENS
from engine.training.model import build_loss
from workbench.cache import content_key

REPEATS = 5
TRAINED = (
    "maxsim", "mean-maxsim", "xtr:retrieved=1000,in_batch=128", "smooth-maxsim:temperature=0.1,final=0.01",
    "smooth-maxsim:temperature=0.02", "top-mean:m=2", "weighted-maxsim", "lite",
)  # fmt: skip
LEARNED, ELSEWHERE = ("weighted-maxsim", "lite"), "the others together"  # weights of their own; not what is trained on


SPREAD = """ The mean of all medquad
questions differs by {spread:.4f} (standard deviation) between seeds of one scorer."""
INTRODUCTION = """nDCG@10 of the embedded model whose head was trained with each scorer on {rows:,} pairs of medquad,
{steps} steps of {batch}, the backbone as it was, and which is searched with that scorer. Seeds: {seeds}, each with
batches of its own and the same ones for every scorer; a question counts with its mean over them.{between}
In brackets the paired difference to MaxSim trained alike; a star where its 95% interval over questions leaves zero out.
Written by `python -m benchmarks.bench_trained scorers`; intervals and p are in
`benchmarks/results/trained-scorers.json`.

- `xtr` trains on what each query token retrieves in the batch (`in_batch`): what is not retrieved counts nothing, and
  the sum is divided by the number of query tokens that found something. Searches put the last retrieved similarity in
  place of what is missing.
- `smooth-maxsim:temperature=0.1,final=0.01` sharpens from step to step; searches use the end.
- `lite` adds a small network to MaxSim, on the 16 largest similarities of each of up to 32 query tokens. For a query of
  12 tokens it takes 11,520 multiplications a document beside MaxSim, which takes 96,000 to 200,000 for 64 to 130 tokens
  of 128 dimensions; keeping the 16 largest while they come costs about as much as the products.

"""


def trained_scorers(arguments: argparse.Namespace) -> None:
    """Every scorer trained on the same batches and measured with itself: nDCG@10 and the difference to MaxSim."""
    bench, (data, test) = Bench(arguments), domain(arguments)
    folder = Path(arguments.pairs)
    collections = {folder.name: test}
    for name in filter(None, arguments.collections.split(",")):
        collections[name] = load_collection(name if name == "embedded" else str(folder.parent / name))
    runs: dict[str, list[dict[str, Any]]] = {}
    with remembered_backbone(bench.model, 8_000_000_000):
        for seed in range(arguments.seeds):
            for name in ("untrained", *TRAINED):
                if name != "untrained" or seed == 0:
                    run = kept_or_trained(bench, data, collections, name, seed)
                    runs.setdefault(name, []).append(run)
                    print(seed, name, {key: round(value, 4) for key, value in means_of(run).items()}, flush=True)
            report(arguments, len(data), runs, folder.name)  # a whole table after every seed


def report(arguments: argparse.Namespace, rows: int, runs: dict[str, list[dict[str, Any]]], domain: str) -> None:
    """Write the record and the page of the seeds so far."""
    usual, table = over_seeds(runs[TRAINED[0]]), {}
    for name, found in runs.items():
        table[name] = {
            "training_seconds": [run["seconds"] for run in found], "seeds": [means_of(run) for run in found],
            "collections": _against(usual, over_seeds(found)),
        }  # fmt: skip
    seeds = len(runs[TRAINED[0]])
    save("trained-scorers", {**origin(arguments), "rows": rows, "scorers": table})
    spread = [np.std([run[domain] for run in table[name]["seeds"]], ddof=1) for name in TRAINED] if seeds > 1 else []
    between = SPREAD.format(spread=np.mean(spread)) if spread else ""
    text = INTRODUCTION.format(**{**vars(arguments), "rows": rows, "seeds": seeds, "between": between})
    write(trained=text + answer(table, domain) + "\n".join(scorer_table(table)))


def means_of(run: dict[str, Any]) -> dict[str, float]:
    """The mean over questions of each collection."""
    return {key: float(np.mean(list(part.values()))) for key, part in run["own"].items()}


def kept_or_trained(
    bench: Bench, data: TrainingData, collections: dict[str, Collection], name: str, seed: int
) -> dict[str, Any]:
    """One training and its nDCG@10 of every question of every collection; kept, so that a stopped command goes on."""
    path = cache_folder() / "trained-scorers" / f"{content_key(origin(bench.arguments)['settings'], name, seed)}.json"
    found = json.loads(path.read_text()) if path.exists() else {"seconds": 0.0, "own": {}}
    missing = {key: part for key, part in collections.items() if key not in found["own"]}
    if missing:
        begun, scorer = time.process_time(), scorers.get()
        if name == "untrained":
            bench.begin()
        else:
            scorer = bench.fit(data, replace(bench.settings, scorer=name, seed=seed))
        found["seconds"] = time.process_time() - begun
        found["own"] |= {key: bench.scores(part, (1,), scorer)[1].per_query for key, part in missing.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return {**found, "own": {key: found["own"][key] for key in collections}}


def over_seeds(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The mean over seeds of each question, by collection; and of all questions but the first collection's."""
    others = list(runs[0]["own"])[1:]
    own = {
        key: {query: float(np.mean([run["own"][key][query] for run in runs])) for query in values}
        for key, values in runs[0]["own"].items()
    }
    own[ELSEWHERE] = {f"{key} {query}": value for key in others for query, value in own[key].items()}
    return own


def _against(other: dict[str, dict[str, float]], own: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """nDCG@10 of each collection with its interval, and the paired difference to another's."""
    return {
        key: {
            "questions": len(values),
            "ndcg@10": list(bootstrap(list(values.values()))),
            "difference": list(paired(other[key], values)),
            "p_value": p_value(list(other[key].values()), list(values.values()), "randomization"),
        }
        for key, values in own.items()
    }


def answer(table: dict[str, Any], domain: str) -> str:
    """Whether what has weights of its own beats MaxSim trained alike: a line for each scorer and place.

    Args:
        table: Scorer -> its record.
        domain: The collection whose pairs were trained on.
    """
    lines = ["How far learned scoring beats MaxSim on this data:", ""]
    for name in (name for name in LEARNED if name in table):
        for where in (domain, ELSEWHERE):
            part = table[name]["collections"][where]
            mean, low, high = part["difference"]
            verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
            numbers = f"{mean:+.4f}, {low:+.4f} to {high:+.4f}, p {part['p_value']:.2f}"
            lines.append(f"- {name} on {where}: {verdict} ({numbers}, {part['questions']} questions).")
    return "\n".join([*lines, "", ""])


def scorer_table(table: dict[str, Any]) -> Iterator[str]:
    """The table of `docs/scorers.md`, line by line."""
    names = list(next(iter(table.values()))["collections"])
    yield "| trained scorer | " + " | ".join(names) + " |"
    yield "| --- |" + " --- |" * len(names)
    for scorer, record in table.items():
        cells = []
        for name in names:
            part = record["collections"][name]
            mean, difference = part["ndcg@10"][0], part["difference"]
            sure = "*" if difference[1] > 0 or difference[2] < 0 else ""
            cells.append(f"{mean:.3f}" + ("" if scorer == TRAINED[0] else f" ({difference[0]:+.3f}{sure})"))
        yield f"| {scorer} | " + " | ".join(cells) + " |"


def least_seconds(work: Callable[[], Any]) -> float:
    """Least processor time of some calls."""
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def scorer_steps(arguments: argparse.Namespace) -> None:
    """Processor time of a step of the head with each scorer over that with MaxSim, and of the scorer alone.

    The backbone's vectors are there already, so that these are the steps in which a scorer weighs most.
    """
    bench, (data, _) = Bench(arguments), domain(arguments)
    settings = replace(bench.settings, max_steps=1)
    columns, labels = bench.columns(data.select(next(batches(data, settings))))
    bench.model.train()
    found = {}
    with remembered_backbone(bench.model, 2_000_000_000), use_threads(arguments.threads):
        encoded = encode_columns(bench.model, columns, ALL_TOKENS, ALL_TOKENS, torch.device("cpu"))
        queries, documents = (join(encoded, i)[0] for i in range(2))
        leaves = [queries.values, documents.values]
        for name in TRAINED:
            loss: Any = build_loss(bench.model, replace(settings, scorer=name))
            scorer: Any = scorers.get(name, dim=queries.values.shape[1])

            def alone(scorer: Any = scorer) -> None:
                value = scorer(queries, documents).diagonal().sum()
                torch.autograd.grad(value, [*leaves, *scorer.parameters()], allow_unused=True)

            def step(loss: Any = loss) -> None:
                loss([dict(column) for column in columns], labels).backward()

            alone()  # compiles
            step()
            found[name] = {
                "step_ms": 1e3 * least_seconds(step),
                "scorer_ms": 1e3 * least_seconds(alone),
            }
            ratio = found[name]["step_ms"] / found["maxsim"]["step_ms"]
            print(
                f"{name}: a step {found[name]['step_ms']:.0f} ms, {ratio:.2f} times MaxSim's; the scorer alone "
                f"{found[name]['scorer_ms']:.0f} ms",
                flush=True,
            )
    sizes = {"query_tokens": len(queries.values), "document_tokens": len(documents.values)}
    save("trained-scorer-steps", {**origin(arguments), **sizes, "scorers": found})
