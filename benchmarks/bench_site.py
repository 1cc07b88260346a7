"""A published site in a real browser: its size, the time to its answers, and how near they are to Python's.

Run: `python -m benchmarks.bench_site` publishes the embedded collection and measures it; `--site FOLDER` measures a
site that is there, `--questions N` asks fewer. The reference is the model in float32 over the same document vectors.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from apps.publish import publish
from apps.publish.serving import serving
from apps.screenshots import FLAGS, chromium
from engine import Encoder, maxsim
from engine.machine import in_words
from engine.retrieval import id_order, top_positions
from workbench.experiments.prepare import prepare

K = 10
PATIENCE = 120_000  # milliseconds


def size(folder: Path) -> dict[str, float]:
    """MB of each folder of a site, and of all."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    parts: dict[str, float] = {}
    for path in files:
        name = path.relative_to(folder).parts[0] if path.parent != folder else "pages"
        parts[name] = parts.get(name, 0) + path.stat().st_size / 1e6
    return {name: round(value, 2) for name, value in sorted(parts.items())} | {"all": round(sum(parts.values()), 2)}


def asked(url: str, questions: list[str]) -> dict[str, Any]:
    """Open a site as a reader does, and ask it."""
    from playwright.sync_api import sync_playwright

    foreign: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.route(
            lambda to: not to.startswith((url, "data:", "blob:")),
            lambda route: (foreign.append(route.request.url), route.abort())[1],
        )
        begin = time.perf_counter()
        page.goto(url)
        page.locator(".hit").first.wait_for()
        first = time.perf_counter() - begin
        answers, times, encoding, vectors = [], [], [], []
        for question in questions:
            found = page.evaluate(
                """async (question) => {
                     const begin = performance.now();
                     const answer = await liwSite.call("search", { question, document: "" });
                     const took = performance.now() - begin;
                     return [took, answer, await liwSite.call("vectors", { text: question, task: "query" })];
                   }""",
                question,
            )
            if "error" in found[1]:
                raise SystemExit(found[1]["error"])
            times.append(found[0])
            encoding.append(1e3 * found[1]["found"]["encoding"])
            answers.append([hit["id"] for hit in found[1]["found"]["hits"]])
            vectors.append(np.array(found[2]["vectors"], np.float32))
        browser.close()
    return {
        "first": first,
        "times": times,
        "encoding": encoding,
        "answers": answers,
        "vectors": vectors,
        "foreign": foreign,
    }


def main() -> None:
    """Publish, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path)
    parser.add_argument("--questions", type=int)
    parser.add_argument("--bits", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.site or Path(scratch) / "site"
        if options.site is None:
            publish(folder, bits=options.bits, lessons=True)
        prepared = prepare("embedded", "embedded")
        collection = prepared.collection
        questions = [collection.queries[name] for name in collection.judged_queries][: options.questions]
        with serving(folder) as url:
            found = asked(url, questions)
        parts = size(folder)
    encoder = Encoder.load("embedded", device="cpu", dtype="float32")
    queries = encoder.encode_query(questions)
    names, scores = list(collection.documents), maxsim(queries, prepared.documents)
    ties = id_order(names)
    same = order = 0
    cosines = []
    for row, vectors in enumerate(found["vectors"]):
        best = [names[i] for i in top_positions(scores[row], ties, K)]
        same += set(best) == set(found["answers"][row])
        order += best == found["answers"][row]
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(queries[row], axis=1)
        cosines.append(float(((vectors * queries[row]).sum(axis=1) / lengths).min()))
    p50, p95 = (round(float(np.percentile(found["times"], share)), 1) for share in (50, 95))
    print(json.dumps({
        "MB": parts, "questions": len(questions), "first answer, s": round(found["first"], 2),
        "answer, ms": {"p50": p50, "p95": p95},
        "of that encoding, ms": round(float(np.median(found["encoding"])), 1),
        "least cosine to Python's float32": round(min(cosines), 6),
        "the same first ten": round(same / len(questions), 4),
        "in the same order": round(order / len(questions), 4), "requests elsewhere": len(found["foreign"]),
        "machine": in_words(),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
