"""How fast the explorer is for one person and for many: `python -m benchmarks.bench_pages` writes results/pages.json.

The explorer runs in a process of its own. Page load, searches and the heatmap are timed in a real Chromium; many people
at once are threads that ask over HTTP what the page asks, each a different judged question with its explanation, and
one after the other without a pause.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from apps.screenshots import FLAGS, chromium
from benchmarks.machine import describe, save
from engine import load_collection

ROOT = Path(__file__).resolve().parents[1]
SERVE = """
from apps.explorer import serve
from workbench.workspace import open_workspace
server = serve(open_workspace())
print(server.url, flush=True)
server.wait()
"""
GOALS = {"load_s": 2, "search_p95_ms": 300, "search_p95_ms_at_20": 1000, "errors_at_50": 0, "heatmap_ms": 200}

DRAW = """() => {
    const unit = (i) => ({ text: "token" + i, kind: "text" });
    const query = [...Array(64).keys()].map(unit), document_ = [...Array(512).keys()].map(unit);
    const similarity = query.map(() => document_.map(() => Math.random()));
    const best = similarity.map((row) => [row.indexOf(Math.max(...row))]);
    const view = { query, document: document_, similarity, best };
    const start = performance.now();
    const made = LIW.parts.matrix(view, query.map((_, i) => i), document_.map((_, i) => i), 900, () => {});
    document.body.append(made.node);
    made.canvas.getContext("2d").getImageData(0, 0, 1, 1);
    const drawn = performance.now() - start;
    made.node.remove();
    return drawn;
}"""
SCROLL = """async () => {
    const unit = (i) => ({ text: "token" + i, kind: "text" });
    const query = [...Array(64).keys()].map(unit), document_ = [...Array(512).keys()].map(unit);
    const similarity = query.map(() => document_.map(() => Math.random()));
    const best = similarity.map((row) => [row.indexOf(Math.max(...row))]);
    const view = { query, document: document_, similarity, best };
    const made = LIW.parts.matrix(view, query.map((_, i) => i), document_.map((_, i) => i), 900, () => {});
    const frame = LIW.el("div", { class: "liw", style: { width: "900px" } }, made.node);
    document.body.prepend(frame);
    const pane = made.node.querySelector(".pane"), times = [];
    await new Promise((resolve) => requestAnimationFrame(resolve));
    let last = performance.now();
    for (let i = 0; i < 90; i++) {
        pane.scrollLeft += 60;
        await new Promise((resolve) => requestAnimationFrame(resolve));
        times.push(performance.now() - last);
        last = performance.now();
    }
    frame.remove();
    return times;
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
    if not found.get("pair", {}).get("pieces", {}).get("similarity"):
        raise RuntimeError(f"no answer to {question!r}: {found}")
    return time.perf_counter() - start


def percentile(times: list[float], share: float) -> float:
    """The value that a share of the times does not exceed."""
    ordered = sorted(times)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def load(url: str, questions: list[str], people: int, each: int) -> dict[str, float]:
    """Many people at once, each asking `each` questions one after the other; milliseconds, and how many failed."""
    component = search_component(url)

    def person(number: int) -> list[float | None]:
        times: list[float | None] = []
        for i in range(each):
            try:
                times.append(ask(url, component, questions[(number * each + i) % len(questions)], f"person{number}"))
            except (OSError, RuntimeError, ValueError) as error:
                print(error, file=sys.stderr)
                times.append(None)
        return times

    with ThreadPoolExecutor(people) as pool:
        found = [seconds for part in pool.map(person, range(people)) for seconds in part]
    times = [1000 * seconds for seconds in found if seconds is not None]
    return {
        "people": people, "asked": len(found), "errors": len(found) - len(times),
        "p50_ms": statistics.median(times), "p95_ms": percentile(times, 0.95),
    }  # fmt: skip


def in_browser(url: str, questions: list[str]) -> dict[str, Any]:
    """Seconds from opening the page to its answer, and milliseconds of searches and of a large heatmap."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        loads = []
        for _ in range(7):
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
        drawn = [page.evaluate(DRAW) for _ in range(9)]
        frames = page.evaluate(SCROLL)
        browser.close()
    return {
        "load_s": {"median": statistics.median(loads), "most": max(loads)},
        "search_ms": {"p50": statistics.median(times), "p95": percentile(times, 0.95), "asked": len(times)},
        "heatmap_64x512_ms": {"median": statistics.median(drawn), "most": max(drawn)},
        "scroll_frame_ms": {"median": statistics.median(frames), "p95": percentile(frames, 0.95)},
    }


def memory(process: psutil.Process, url: str, questions: list[str], searches: int) -> dict[str, Any]:
    """Megabytes of the explorer along the searches, all different."""
    component, after = search_component(url), {}
    for number in range(1, searches + 1):
        ask(url, component, f"{questions[number % len(questions)]} {number}", "memory")
        if number in (1, searches) or number % 100 == 0:
            after[number] = round(process.memory_info().rss / 1e6)
    return {"searches": searches, "resident_mb": after}


def main() -> None:
    """Serve the embedded collection and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=1000, help="of the memory measurement; 0 leaves it out")
    parser.add_argument("--people", type=int, nargs="*", default=[1, 20, 50])
    options = parser.parse_args()
    questions = list(load_collection("embedded").queries.values())
    server = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = next(line.strip() for line in server.stdout if line.startswith("http"))
        load(url, questions, 2, 5)  # the first searches compile and map
        result: dict[str, Any] = {
            "goals": GOALS, "index": "plaid", "browser": in_browser(url, questions[:60]),
            "load": [load(url, questions, people, 10) for people in options.people],
        }  # fmt: skip
        if options.searches:
            result["memory"] = memory(psutil.Process(server.pid), url, questions, options.searches)
    finally:
        server.terminate()
        server.wait()
    save("pages", {**result, "machine": describe()})


if __name__ == "__main__":
    main()
