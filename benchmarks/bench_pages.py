"""How fast the explorer is for one person and for many: `python -m benchmarks.bench_pages` prints one JSON object.

Page load and the heatmap are timed in a real Chromium; many people at once are threads that ask over HTTP what the page
asks, each a different judged question with its explanation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from apps.machine import machine
from apps.screenshots import FLAGS, chromium
from workbench.workspace import Workspace, open_workspace

DRAW = """() => {
    const unit = (i) => ({ text: "token" + i, kind: "text" });
    const query = [...Array(64).keys()].map(unit), document_ = [...Array(512).keys()].map(unit);
    const similarity = query.map(() => document_.map(() => Math.random()));
    const best = similarity.map((row) => [row.indexOf(Math.max(...row))]);
    const view = { query, document: document_, similarity, best };
    const start = performance.now();
    const made = LIW.parts.matrix(view, query.map((_, i) => i), document_.map((_, i) => i), () => {});
    document.body.append(made.node);
    made.canvas.getContext("2d").getImageData(0, 0, 1, 1);
    const drawn = performance.now() - start;
    made.node.remove();
    return drawn;
}"""


def search_component(url: str) -> int:
    """Number of the component whose functions the search page calls."""
    with urllib.request.urlopen(f"{url}config", timeout=60) as answer:
        config = json.load(answer)
    found = [item["id"] for item in config["components"] if "rescore" in item["props"].get("server_fns", [])]
    return found[0]


def ask(url: str, component: int, question: str, session: str) -> float:
    """Seconds of one search with the explanation of its best document; raises when it is not answered."""
    body = {"data": {"question": question}, "component_id": component, "fn_name": "search", "session_hash": session}
    request = urllib.request.Request(
        f"{url}gradio_api/component_server", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        found = json.load(answer)
    assert found["pair"]["pieces"]["similarity"], found
    return time.perf_counter() - start


def load(url: str, questions: list[str], people: int, each: int) -> dict[str, float]:
    """Many people at once, each asking `each` questions one after the other; milliseconds."""
    component = search_component(url)

    def person(number: int) -> list[float]:
        mine = [questions[(number * each + i) % len(questions)] for i in range(each)]
        return [ask(url, component, question, f"person{number}") for question in mine]

    with ThreadPoolExecutor(people) as pool:
        times = sorted(1000 * seconds for part in pool.map(person, range(people)) for seconds in part)
    return {
        "people": people,
        "asked": len(times),
        "p50_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * (len(times) - 1))],
    }


def in_browser(url: str, questions: list[str]) -> dict[str, Any]:
    """Seconds from opening the page to its answer, and milliseconds of searches and of a large heatmap."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        loads = []
        for _ in range(3):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(url)
            page.locator(".matrix canvas").wait_for()
            loads.append(time.perf_counter() - start)
            page.close()
        page = browser.new_page()
        page.goto(url)
        page.locator(".matrix canvas").wait_for()
        times = []
        for question in questions:
            page.evaluate("() => { document.querySelector('.pair').replaceChildren(); }")
            page.get_by_role("searchbox").fill(question)
            start = time.perf_counter()
            page.get_by_role("searchbox").press("Enter")
            page.locator(".matrix canvas").wait_for()
            times.append(1000 * (time.perf_counter() - start))
        drawn = [page.evaluate(DRAW) for _ in range(5)]
        browser.close()
    times.sort()
    return {
        "load_s": statistics.median(loads), "search_p50_ms": statistics.median(times),
        "search_p95_ms": times[int(0.95 * (len(times) - 1))], "heatmap_64x512_ms": statistics.median(drawn),
    }  # fmt: skip


def memory(workspace: Workspace, url: str, questions: list[str], searches: int) -> dict[str, float]:
    """Megabytes of this process after the first hundred searches and after all."""
    component, process = search_component(url), psutil.Process(os.getpid())
    after = {}
    for number in range(searches):
        ask(url, component, f"{questions[number % len(questions)]} {number}", "memory")
        if number + 1 in (min(100, searches), searches):
            after[number + 1] = process.memory_info().rss / 1e6
    return {"searches": searches, "first_mb": min(after.items())[1], "last_mb": max(after.items())[1]}


def main() -> None:
    """Serve the embedded collection and measure."""
    from apps.explorer import serve

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=1000, help="of the memory measurement; 0 leaves it out")
    parser.add_argument("--people", type=int, nargs="*", default=[1, 20, 50])
    options = parser.parse_args()
    workspace = open_workspace()
    questions = list(workspace.collection.queries.values())
    server = serve(workspace)
    load(server.url, questions, 1, 3)  # the first searches compile and map
    result: dict[str, Any] = {
        "machine": machine(), "documents": len(workspace.collection.documents), "index": workspace.index.kind,
        "browser": in_browser(server.url, questions[:40]),
        "load": [load(server.url, questions, people, 5) for people in options.people],
    }  # fmt: skip
    if options.searches:
        result["memory"] = memory(workspace, server.url, questions, options.searches)
    print(json.dumps(result, indent=2))
    server.stop()


if __name__ == "__main__":
    main()
