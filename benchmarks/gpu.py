"""What an accelerator does with this code, beside the peers that are installed.

`python -m benchmarks.gpu` runs the parts parity, encode, maxsim, plaid, gradcache, finetune and notebooks; `--parts`
names some. They are meant to end within 8 minutes on one card and need nothing from a network; one that fails says
so and does not end the others. `--device cpu --small` goes through the same code where no card is. The record is
benchmarks/results/gpu-NAME.json, written after each part.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import RESULTS, describe
from engine import Encoder, TokenEmbeddings, create_index, load_collection
from engine.maxsim import device as device_scoring
from engine.maxsim.differentiable import Ragged, maxsim_ragged

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sizes:
    """How much each part does.

    Args:
        device: A torch device.
        small: A hundredth of the work, to see that everything runs.
        seconds: For each part, where it can be cut.
        pairs: Training pairs; made from first sentences when None.
        collection: What the fine-tune is measured on.
    """

    device: str
    small: bool
    seconds: float = 60.0
    pairs: Path | None = None
    collection: str = "embedded"

    def of(self, full: int) -> int:
        """A count, or a hundredth of it and at least 4."""
        return max(full // 100, 4) if self.small else full


def wait(device: str) -> None:
    """Until the card has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def best_seconds(work: Callable[[], Any], device: str, repeats: int = 5, limit: float = 20.0) -> float:
    """The least of some timed calls after one to warm up; fewer calls once `limit` seconds are over."""
    work()
    wait(device)
    begun, found = time.perf_counter(), []
    while len(found) < repeats and (not found or time.perf_counter() - begun < limit):
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return min(found)


def peak_bytes(work: Callable[[], Any], device: str) -> int | None:
    """Bytes of the card that a call took above what was held; None away from CUDA."""
    if not device.startswith("cuda"):
        work()
        return None
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    wait(device)
    return torch.cuda.max_memory_allocated(device) - before


def texts_and_questions(sizes: Sizes, count: int) -> tuple[list[str], list[str]]:
    """Documents of the embedded collection, in turn until there are enough, and its questions."""
    collection = load_collection("embedded")
    documents = list(collection.documents.values())
    return [documents[i % len(documents)] for i in range(sizes.of(count))], list(collection.queries.values())


def synthetic(n: int, dim: int = 128, seed: int = 0) -> TokenEmbeddings:
    """Unit vectors around a thousand directions, 60 to 180 a document."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(60, 181, n)
    centres = rng.standard_normal((1000, dim)).astype(np.float32)
    values = centres[rng.integers(0, 1000, int(lengths.sum()))]
    values += 0.7 * rng.standard_normal(values.shape).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenEmbeddings(values.astype(np.float16), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def parity(sizes: Sizes) -> dict[str, Any]:
    """The certificate of this machine, for the embedded model."""
    from engine.parity import certify

    return {"records": [record.to_json() for record in certify("embedded")]}


def encode(sizes: Sizes) -> dict[str, Any]:
    """Tokens a second."""
    texts, _ = texts_and_questions(sizes, 20_000)
    plain = Encoder.load("embedded", device=sizes.device, dtype="float32")
    ways: dict[str, Callable[[], Any]] = {
        "sentence-transformers defaults": lambda: plain.model.encode_document(texts),
        "ours float32": lambda: plain.encode_document(texts),
    }
    for dtype in ("bfloat16", "float16") if sizes.device.startswith("cuda") else ("bfloat16",):
        other = Encoder.load("embedded", device=sizes.device, dtype=dtype)
        ways[f"ours {dtype}"] = lambda other=other: other.encode_document(texts)
    tokens = plain.encode_document(texts).n_tokens
    found = {name: best_seconds(work, sizes.device, 3) for name, work in ways.items()}
    first = found["sentence-transformers defaults"]
    return {
        "texts": len(texts), "tokens": tokens,
        "tokens_a_second": {name: tokens / seconds for name, seconds in found.items()},
        "times_as_fast": {name: first / seconds for name, seconds in found.items()},
    }  # fmt: skip


def maxsim(sizes: Sizes) -> dict[str, Any]:
    """Scores of every query with every document, and their gradient."""
    documents, queries = synthetic(sizes.of(20_000)), synthetic(32, seed=1).select(np.arange(32))
    moved = [device_scoring._moved(side, sizes.device, torch.float32) for side in (queries, documents)]
    ways = {"plain torch": lambda: device_scoring._plain_score(*moved[0], *moved[1])}
    left_out = []
    if device_scoring._fused(sizes.device):
        half = [(values.half(), offsets) for values, offsets in moved]
        ways["late-interaction-kernels"] = lambda: device_scoring._fused_score(*half[0], *half[1])
    else:
        left_out.append("late-interaction-kernels: not installed, or no CUDA device")
    pairs = len(queries) * len(documents)
    found = {name: best_seconds(work, sizes.device) for name, work in ways.items()}
    few = documents.select(np.arange(sizes.of(1000)))
    asked = Ragged(moved[0][0].requires_grad_(), torch.from_numpy(queries.offsets))
    given, _ = device_scoring._moved(few, sizes.device, torch.float32)
    found_in = Ragged(given.requires_grad_(), torch.from_numpy(few.offsets))
    few_pairs = len(asked) * len(few)
    seconds = best_seconds(lambda: maxsim_ragged(asked, found_in).sum().backward(), sizes.device)
    return {
        "pairs": pairs, "pairs_a_second": {name: pairs / each for name, each in found.items()},
        "with_gradient": {"pairs": few_pairs, "pairs_a_second": few_pairs / seconds}, "left_out": left_out,
    }  # fmt: skip


def plaid(sizes: Sizes) -> dict[str, Any]:
    """Build on the processor, search on the device: alone, all at once, and how much of exact's best ten is found."""
    documents, queries = synthetic(sizes.of(20_000)), synthetic(sizes.of(500), seed=1)
    queries = TokenEmbeddings.from_list([queries[i][:32] for i in range(len(queries))])
    names = [f"d{i}" for i in range(len(documents))]
    found: dict[str, Any] = {"documents": len(documents), "tokens": documents.n_tokens, "left_out": []}
    with tempfile.TemporaryDirectory() as folder:
        exact = create_index("exact", Path(folder) / "exact")
        exact.add(names, documents)
        truth = [set(ranking.ids) for ranking in exact.search(queries.select(np.arange(min(50, len(queries)))), 10)]
        kinds: dict[str, dict[str, Any]] = {"plaid": {}}
        if find_spec("fast_plaid") and sizes.device.startswith("cuda"):
            kinds["fast-plaid"] = {"device": sizes.device}
        else:
            found["left_out"].append("fast-plaid: not installed, or no CUDA device")
        for kind, settings in kinds.items():
            start = time.perf_counter()
            index: Any = create_index(kind, Path(folder) / kind, **settings)
            index.add(names, documents)
            built = time.perf_counter() - start
            searched = index.on(sizes.device) if kind == "plaid" else index
            ways = {f"{kind} on {sizes.device}": searched} | ({"plaid on cpu": index} if kind == "plaid" else {})
            for name, each in ways.items():
                one = queries.select(np.arange(1))
                best = each.search(queries.select(np.arange(len(truth))), 10)
                kept = np.mean([len(set(ranking.ids) & true) / 10 for ranking, true in zip(best, truth, strict=True)])
                found[name] = {
                    "build_s": built, "recall@10": float(kept),
                    "one_ms": best_seconds(lambda e=each, q=one: e.search(q, 10), sizes.device) * 1e3,
                    "queries_a_second":
                        len(queries) / best_seconds(lambda e=each: e.search(queries, 10), sizes.device, 2),
                }  # fmt: skip
    return found


def gradcache(sizes: Sizes) -> dict[str, Any]:
    """A cached contrastive step: seconds and peak memory, ours beside the library's, and the largest batch tried."""
    from sentence_transformers.multi_vector_encoder.losses import CachedMultiVectorMultipleNegativesRankingLoss

    from engine.training.losses import ContrastiveLoss

    model: Any = Encoder.load("embedded", device=sizes.device, dtype="float32").model
    model.train()
    most = sizes.of(4096)
    texts, questions = texts_and_questions(sizes, 4096)
    asked = [questions[i % len(questions)] for i in range(most)]
    tokens = 16_384 if sizes.device.startswith("cuda") else 1024

    def columns(n: int) -> list[dict[str, Any]]:
        found = []
        for given, task in ((asked[:n], "query"), (texts[:n], "document")):
            features = model.preprocess(given, task=task)
            moved = {key: v.to(sizes.device) if isinstance(v, torch.Tensor) else v for key, v in features.items()}
            found.append({**moved, "task": task})
        return found

    losses: dict[str, Any] = {
        "ours": ContrastiveLoss(model, mini_batch_tokens=tokens, graph_tokens=tokens),
        "sentence-transformers": CachedMultiVectorMultipleNegativesRankingLoss(model, mini_batch_size=64),
    }
    found: dict[str, Any] = {}
    for name, loss in losses.items():
        found[name] = {}
        for n in sorted({min(256, most), min(1024, most), most}):
            batch = columns(n)

            def step(loss: Any = loss, batch: Any = batch) -> None:
                model.zero_grad()
                with torch.autocast(torch.device(sizes.device).type, torch.bfloat16):
                    value = loss([dict(column) for column in batch])
                value.backward()

            try:
                peak = peak_bytes(step, sizes.device)
                found[name][str(n)] = {"seconds": best_seconds(step, sizes.device, 2, 10), "peak_bytes": peak}
            except torch.OutOfMemoryError as error:
                found[name][str(n)] = {"error": str(error).splitlines()[0]}
    return found


def finetune(sizes: Sizes) -> dict[str, Any]:
    """nDCG@10 before and after a fine-tune that may take the part's seconds."""
    from engine.training import Stop, TrainSettings, document_pairs, fine_tune, read_training_data

    collection = load_collection(sizes.collection)
    data = read_training_data(sizes.pairs) if sizes.pairs else document_pairs(load_collection("embedded"))
    stop, end = Stop(), time.perf_counter() + sizes.seconds

    def watch(event: Any) -> None:
        if time.perf_counter() > end:
            stop.set()

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainSettings(
            device=sizes.device, batch=sizes.of(512), output=f"{folder}/model", max_steps=2 if sizes.small else 0,
            dtype="bfloat16" if sizes.device.startswith("cuda") else "float32",
        )  # fmt: skip
        start = time.perf_counter()
        report = fine_tune(settings, data, watch, None if sizes.small else collection, stop=stop)
        seconds = time.perf_counter() - start
    scores = {"before": report.before, "after": report.after}
    return {
        "rows": len(data), "seconds": seconds, "ended": report.reason,
        "ndcg@10": {name: None if score is None else score.ndcg for name, score in scores.items()},
    }  # fmt: skip


def notebooks(sizes: Sizes) -> dict[str, Any]:
    """Notebooks 6 and 7 from top to bottom on this device, on a small part of their data."""
    import nbformat
    from nbclient import NotebookClient

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        own = {"WORKBENCH_HOME": folder, "WORKBENCH_FAST": "1", "HF_HUB_OFFLINE": "1"}
        for path in sorted((ROOT / "notebooks").glob("0[67]_*.ipynb")):
            start = time.perf_counter()
            client = NotebookClient(
                nbformat.read(path, as_version=4), timeout=240, resources={"metadata": {"path": folder}}
            )
            client.execute(env={**os.environ, **own})
            found[path.stem] = {"seconds": time.perf_counter() - start}
    return found


PARTS: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    part.__name__: part for part in (parity, encode, maxsim, plaid, gradcache, finetune, notebooks)
}


def card(device: str) -> dict[str, Any]:
    """What the device is."""
    if not device.startswith("cuda"):
        return {"name": device}
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return {"name": properties.name, "memory": properties.total_memory, "driver": driver, "cuda": torch.version.cuda}


def main(given: list[str] | None = None) -> int:
    """Run the parts; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a hundredth of the work")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--pairs", type=Path, help="training rows; made from first sentences without it")
    parser.add_argument("--collection", default="embedded", help="what the fine-tune is measured on")
    parser.add_argument("--output", type=Path, help="the record; benchmarks/results/gpu-NAME.json without it")
    options = parser.parse_args(given)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA device here: --device cpu --small goes through the same code.", file=sys.stderr)
        return 2
    about = card(options.device)
    sizes = Sizes(options.device, options.small, 60.0, options.pairs, options.collection)
    path = options.output or RESULTS / f"gpu-{about['name'].lower().replace(' ', '-')}.json"
    record: dict[str, Any] = {"card": about, "machine": describe(), "small": options.small, "parts": {}}
    failed = False
    for name in options.parts:
        start = time.perf_counter()
        try:
            found = PARTS[name](sizes)
        except Exception as error:  # the record says it, and the next part runs
            traceback.print_exc()
            found, failed = {"error": f"{type(error).__name__}: {error}"[:500]}, True
        record["parts"][name] = found | {"part_seconds": round(time.perf_counter() - start, 1)}
        print(json.dumps({name: record["parts"][name]}), flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        gc.collect()
        if options.device.startswith("cuda"):
            torch.cuda.empty_cache()
    print(f"Wrote {path}.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
