"""The requests and answers of docs/serve.md, from a real server: `python -m benchmarks.serve_page`.

The collection is written anew each time; times in the answers are those of the machine at that moment.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from benchmarks.bench_serve import loads
from benchmarks.contract_table import ROOT, replace_between

PAGE = ROOT / "docs" / "serve.md"
KINDS_SAID = {"search": "searches", "mixed": "searches, explanations, reranks, encodings"}
WIDTH = 118
ADDRESS = "localhost:8765"  # as the page writes it
DOCUMENTS = [
    ("tide", "The spring tide comes two days after the full moon.", 2019),
    ("dues", "Harbour dues are paid by the length of a boat.", 2020),
    ("sail", "A sail is reefed when the wind grows stronger.", 2021),
    ("rope", "A bowline makes a loop that does not slip.", 2022),
    ("moon", "The moon pulls the water of the sea towards it.", 2023),
]
QUESTION = "when is the water high"
NEW = [
    {"id": "anchor", "text": "Let out five times as much chain as the water is deep.", "fields": {"year": 2024}},
    {"id": "fog", "text": "In fog a boat sounds one long blast every two minutes."},
]
EXAMPLES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("search", "/search", {"question": QUESTION, "k": 2, "where": "year < 2023", "contributions": True}),
    ("system", "/search", {"question": QUESTION, "k": 1, "system": "bm25 + plaid"}),
    ("explain", "/explain", {"question": QUESTION, "document": "tide"}),
    ("trace", "/trace", {"question": QUESTION, "document": "rope", "k": 2}),
    ("rerank", "/rerank", {"question": QUESTION, "texts": [text for _, text, _ in DOCUMENTS[:3]], "k": 2}),
    ("encode", "/encode", {"texts": [QUESTION], "task": "query", "encoding": "base64"}),
    ("create", "/collections", {"name": "log", "index": "plaid:bits=8", "documents": NEW[:1]}),
    ("add", "/collections/log/add", {"documents": NEW[1:]}),
    ("remove", "/collections/log/remove", {"ids": ["anchor"]}),
    ("refusal", "/search", {"question": QUESTION, "where": "yaer < 2023"}),
)


def written(value: Any, indent: int = 0) -> str:
    """JSON as a page shows it: what is short stands in one line."""
    short = json.dumps(value, ensure_ascii=False)
    if indent + len(short) <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return short
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name)}: {written(entry, indent + 2)}" for name, entry in value.items()]
    else:
        parts = [inner + written(entry, indent + 2) for entry in value]
    brackets = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([brackets[0], ",\n".join(parts), " " * indent + brackets[1]])


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cut(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_cut(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 4)
    return f"{value[:60]}..." if isinstance(value, str) and len(value) > 200 else value


def main() -> None:
    """Ask a server and replace every part of the page."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        boats = Path(folder) / "boats.jsonl"
        rows = [{"id": name, "text": text, "year": year} for name, text, year in DOCUMENTS]
        boats.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        command = [
            sys.executable, "-m", "workbench", "serve", "--collection", str(boats), "--store", f"{folder}/store",
            "--port", "0",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            url = next(line for line in server.stderr if "answered at" in line).partition("at ")[2].partition(",")[0]
            try:
                with httpx.Client(base_url=url, timeout=60) as client:
                    page = replace_between(page, "collections", told(client.get("/collections"), "/collections", None))
                    for name, path, asked in EXAMPLES:
                        page = replace_between(page, name, told(client.post(path, json=asked), path, asked))
                    counted = [line for line in client.get("/metrics").text.splitlines() if "lane_requests{" in line]
                    page = replace_between(page, "metrics", "```\n" + "\n".join(counted) + "\n```")
            finally:
                server.terminate()
    page = replace_between(page, "load", load_table())
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.name}: {len(EXAMPLES) + 3} parts")


def load_table() -> str:
    """What `bench_serve` measured last."""
    rows = ["| clients | of | seconds | requests | errors | a second | p50 ms | p95 ms |", "| --- " * 8 + "|"]
    for run in sorted(loads(), key=lambda run: (run["batches"], run["kinds"], run["clients"])):
        shared = ", encoded together" if run["batches"] == "shared" else ""
        every = run["all"]
        rows.append(
            f"| {run['clients']} | {KINDS_SAID[run['kinds']]}{shared} | {run['seconds']} | {every['asked']:,} | "
            f"{every['errors']} | {every['a_second']:.0f} | {every['p50_ms']:.0f} | {every['p95_ms']:.0f} |"
        )
    return "\n".join(rows)


def told(found: httpx.Response, path: str, asked: dict[str, Any] | None) -> str:
    """A request as one types it, and its answer."""
    body = "" if asked is None else f" --json {shlex.quote(json.dumps(asked, ensure_ascii=False))}"
    status = "" if found.is_success else f"Status {found.status_code}:\n\n"
    return f"```\ncurl {ADDRESS}{path}{body}\n```\n\n{status}```json\n{written(_cut(found.json()))}\n```"


if __name__ == "__main__":
    main()
