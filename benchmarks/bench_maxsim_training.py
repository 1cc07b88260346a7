"""Differentiable MaxSim beside the plain einsum: time and peak memory, forward and backward.

`python -m benchmarks.bench_maxsim_training` scores 256 queries of 32 tokens against 256 documents of 180, 96
dimensions. Each way runs in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from benchmarks.machine import describe, save
from engine.maxsim.differentiable import maxsim_grad

QUERIES, DOCUMENTS, QUERY_TOKENS, DOCUMENT_TOKENS, DIM = 256, 256, 32, 180, 96
WAYS = ("maxsim_grad", "einsum")


def einsum(q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
    """The plain way: all similarities at once."""
    similarity = torch.einsum("qid,njd->qnij", q, d).masked_fill(~d_mask[None, :, None, :], -torch.inf)
    return (similarity.max(dim=3).values * q_mask[:, None, :]).sum(2)


def step(way: str, documents: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores and both gradients."""
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(QUERIES, QUERY_TOKENS, DIM, generator=generator)
    d = torch.randn(documents, DOCUMENT_TOKENS, DIM, generator=generator)
    q, d = (torch.nn.functional.normalize(x, dim=-1).requires_grad_() for x in (q, d))
    masks = torch.ones(q.shape[:2], dtype=torch.bool), torch.ones(d.shape[:2], dtype=torch.bool)
    scores = (maxsim_grad if way == "maxsim_grad" else einsum)(q, masks[0], d, masks[1])
    torch.nn.functional.cross_entropy(20 * scores, torch.arange(QUERIES) % documents).backward()
    assert q.grad is not None
    assert d.grad is not None
    return scores.detach(), q.grad, d.grad


def measure(way: str, repeats: int) -> dict[str, float]:
    """Least time of a step, and peak memory above what was there before the first full one."""
    step(way, 8)  # compiles and warms up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, used = [], []
    for _ in range(repeats):
        start, start_used = time.perf_counter(), time.process_time()
        scores, *_ = step(way, DOCUMENTS)
        wall.append(time.perf_counter() - start)
        used.append(time.process_time() - start_used)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"wall_ms": min(wall) * 1e3, "processor_ms": min(used) * 1e3, "peak_mb": peak, "sum": float(scores.sum())}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="only this way, in this process")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.repeats)))
        return
    rows = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.bench_maxsim_training", "--way", way]
        command += ["--repeats", str(options.repeats)]
        rows[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    small, large = (step(way, 8) for way in WAYS)
    ratios = {
        "times_as_fast": rows["einsum"]["wall_ms"] / rows["maxsim_grad"]["wall_ms"],
        "times_as_fast_processor_time": rows["einsum"]["processor_ms"] / rows["maxsim_grad"]["processor_ms"],
        "share_of_peak": rows["maxsim_grad"]["peak_mb"] / rows["einsum"]["peak_mb"],
        "largest_difference": max(float((x - y).abs().max()) for x, y in zip(small, large, strict=True)),
    }
    save("maxsim-training", {"machine": describe(), "rows": rows, "ratios": ratios})


if __name__ == "__main__":
    main()
