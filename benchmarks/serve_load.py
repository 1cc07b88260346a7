"""What one client of the load test does: `python -m benchmarks.bench_serve` gives this file to locust.

A client asks one thing after the other without a pause, each time another judged question of the embedded collection.
It runs in locust's own process, which changes how Python waits: nothing else imports it.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

from locust import FastHttpUser, constant, events, task

_number = itertools.count()
_material: dict[str, list[str]] = {}


@events.init.add_listener
def _read(environment: object, **others: object) -> None:
    with open(os.environ["LOAD_MATERIAL"], encoding="utf-8") as file:
        _material.update(json.load(file))


class Client(FastHttpUser):
    """A program that asks a server."""

    wait_time = constant(0)
    network_timeout = connection_timeout = 120

    @task
    def ask(self) -> None:
        """The next thing in turn."""
        number = next(_number)
        kind = _material["kinds"][number % len(_material["kinds"])]
        self.client.post(f"/{kind}", json=asked(kind, number))


def asked(kind: str, number: int) -> dict[str, Any]:
    """What is sent: a question that was not asked a moment ago."""
    questions, documents = _material["questions"], _material["documents"]
    question = f"{questions[number % len(questions)]} {number // len(questions) or ''}".strip()
    if kind == "explain":
        return {"question": question, "document": documents[number % len(documents)]}
    if kind == "rerank":  # what another system might have found
        start = number % (len(documents) - 50)
        return {"question": question, "ids": documents[start : start + 50], "k": 10}
    if kind == "encode":
        return {"texts": [f"{question} {part}" for part in range(4)], "encoding": "base64"}
    return {"question": question, "k": 10}
