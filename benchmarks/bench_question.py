"""One question from text to vectors: milliseconds of every way, and how near its vectors are to float32.

    python -m benchmarks.bench_question

asks the embedded model through sentence-transformers, ONNX Runtime (float32, and its dynamic 8 bits) and `Encoder` in
each dtype, in turns within one process, and writes `results/question.json`. Every way begins with the text.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, save
from engine import Encoder, load_collection
from engine.training import export_onnx

DTYPES = ("float32", "bfloat16", "int8")
Way = Callable[[str], np.ndarray]  # a question to its vectors [tokens, dim]


def onnx_ways(encoder: Encoder, folder: Path) -> dict[str, Way]:
    """The exported model in ONNX Runtime, as it is and with its own quantisation of weights and activations."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    path = export_onnx(encoder, folder / "model.onnx", "query")
    quantize_dynamic(str(path), str(folder / "rounded.onnx"))

    def way(file: Path) -> Way:
        session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]

        def ask(text: str) -> np.ndarray:
            features = encoder.preprocess([text], "query")
            vectors, mask = session.run(None, {name: features[name].numpy() for name in names})[:2]
            return vectors[0][mask[0].astype(bool)]

        return ask

    return {"ONNX Runtime, float32": way(path), "ONNX Runtime, int8": way(folder / "rounded.onnx")}


def measured(ways: dict[str, Way], questions: list[str], repeats: int) -> dict[str, Any]:
    """Each way in turn for each question; the first one is what the others' vectors are held to."""
    expected = [np.asarray(next(iter(ways.values()))(question), np.float32) for question in questions]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, ask in ways.items():  # a way at a time: its weights are in the cache, as they are in a page
            for question in questions:
                began = time.perf_counter()
                ask(question)
                times[name].append((time.perf_counter() - began) * 1e3)
    rows = {}
    for name, ask in ways.items():
        cosines = [
            cosine(np.asarray(ask(text), np.float32), true) for text, true in zip(questions, expected, strict=True)
        ]
        joined = np.concatenate(cosines)
        p50, p95 = np.percentile(times[name], [50, 95])
        rows[name] = {"p50_ms": p50, "p95_ms": p95, "cosine": float(joined.mean()), "least_cosine": float(joined.min())}
    return rows


def cosine(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The cosine of each token's two vectors."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return (found * expected).sum(axis=1) / lengths


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    questions = list(load_collection("embedded").queries.values())[: options.questions]
    encoders = {dtype: Encoder.load("embedded", "cpu", dtype) for dtype in DTYPES}
    plain = encoders["float32"]
    ways: dict[str, Way] = {
        "sentence-transformers": lambda text: np.asarray(plain.model.encode_query([text], convert_to_numpy=True)[0])
    }
    with tempfile.TemporaryDirectory() as folder:
        ways |= onnx_ways(plain, Path(folder))
        ways |= {f"Encoder, {name}": lambda text, e=e: e.encode_query([text])[0] for name, e in encoders.items()}
        rows = measured(ways, questions, options.repeats)
    for name, row in rows.items():
        print(
            f"| {name} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} | {row['cosine']:.5f} | {row['least_cosine']:.4f} |"
        )
    save("question", {"machine": describe(), "questions": len(questions), "ways": rows})


if __name__ == "__main__":
    main()
