"""Questions from a model behind an OpenAI-compatible address: texts are sent to it only because a person named it."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from engine import Collection, storage
from engine.errors import InputError, StorageError, WorkbenchError
from workbench.cache import content_key
from workbench.paths import data_folder
from workbench.questions.made import Question, chosen_documents

KEY = "WORKBENCH_QUESTIONS_KEY"  # the variable of the key that the address asks for; never that of another service
PROMPT = (
    "Write one question that a person might type into a search box, who does not know the text below but needs what it "
    "says. Do not copy its sentences. Answer with the question alone, in the language of the text."
)
LONGEST_TEXT = 4000  # characters of a document that are sent
LONGEST_QUESTION = 400  # characters of an answer that can be a question
LARGEST_ANSWER = 1_000_000  # bytes
AT_ONCE = 4
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # statuses after which asking again makes sense
LONGEST_WAIT = 30.0  # seconds between two tries

Progress = Callable[[int, int], None]


class EndpointError(WorkbenchError):
    """The address that should make questions does not: the sentence says why, and what to do."""


@dataclass(frozen=True)
class Endpoint:
    """Where questions are made.

    Args:
        address: Of an OpenAI-compatible server, such as "http://localhost:8000/v1".
        model: What it calls the model.
        timeout: Seconds of one answer.
        tries: How often a question is asked for before it is given up.

    Raises:
        InputError: no address of http or https, or one that holds a password.
    """

    address: str
    model: str = "default"
    timeout: float = 60.0
    tries: int = 4

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            usable = (
                parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and not parts.query
            )
            _ = parts.port
        except ValueError:
            usable = False
        if not usable:
            raise InputError(
                f"Expected an address such as http://localhost:8000/v1, got {self.address!r}: give one without a "
                f"password, a key goes into {KEY}."
            )

    @property
    def url(self) -> str:
        """Where requests go."""
        whole = self.address.rstrip("/")
        return whole if whole.endswith("/chat/completions") else f"{whole}/chat/completions"

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        host = urlsplit(self.address).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def told(self, collection: Collection, names: Sequence[str]) -> str:
        """What will be sent where, for the person to read before it is."""
        size = sum(min(len(collection.documents[name]), LONGEST_TEXT) for name in names)
        where = "on this machine" if self.local else "another machine: what is sent leaves this one"
        return (
            f"{len(names)} texts of {collection.name!r}, {size:,} characters, go to {self.url} ({where}) for the model "
            f"{self.model!r} to write a question about each."
        )

    def request(self, text: str) -> dict[str, Any]:
        """The body of the request about one text."""
        asked = f"{PROMPT}\n\n{text[:LONGEST_TEXT]}"
        return {"model": self.model, "messages": [{"role": "user", "content": asked}], "temperature": 0, "seed": 0,
                "max_tokens": 200}  # fmt: skip


def from_endpoint(
    collection: Collection, endpoint: Endpoint, count: int = 100, seed: int = 0, progress: Progress | None = None
) -> tuple[list[Question], list[str]]:
    """Let a model make questions, one a document; answers are kept, so that what was interrupted can go on.

    Args:
        collection: Its documents.
        endpoint: Where the model is.
        count: From how many documents, drawn at random.
        seed: Decides which.
        progress: Called with (questions done, of how many).

    Returns:
        The questions, no two alike, and notes on answers that were none.

    Raises:
        EndpointError: the address does not answer, refuses, or answers something else.
    """
    import httpx

    names, found, empty = chosen_documents(collection, count, seed), {}, 0
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY)) else {}
    # No redirects: texts go where the person said. No proxy for this machine.
    with (
        httpx.Client(
            timeout=endpoint.timeout, headers=headers, follow_redirects=False, trust_env=not endpoint.local
        ) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        answers = pool.map(lambda name: _answer(client, endpoint, collection.documents[name]), names)
        try:
            for number, (name, answer) in enumerate(zip(names, answers, strict=True), start=1):
                question = _question(answer)
                if question:
                    found.setdefault(question.lower(), Question(question, (name,), f"model {endpoint.model}"))
                else:
                    empty += 1
                if progress is not None:
                    progress(number, len(names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not found:
        raise EndpointError(f"{endpoint.url} made no question of {len(names)} texts: try another model.")
    notes = [f"{empty} answers of the model were no question and were left out"] if empty else []
    return list(found.values()), notes


def _question(answer: str) -> str:
    """The question that an answer holds, or "": its last line, without quotes around."""
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    found = " ".join(lines[-1].strip("\"'`*“”„«» ").split()) if lines else ""
    return found if 0 < len(found) <= LONGEST_QUESTION else ""


def _answer(client: Any, endpoint: Endpoint, text: str) -> str:
    """The model's answer about one text, from the last time or now."""
    body = endpoint.request(text)
    kept = data_folder("cache", "questions") / f"{content_key(endpoint.url, body)}.json"
    try:
        return str(json.loads(kept.read_text(encoding="utf-8"))["answer"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    answer = _content(_asked(client, endpoint, body), endpoint)
    with suppress(StorageError):  # a cache
        storage.replace_text(kept, json.dumps({"answer": answer}))
    return answer


def _asked(client: Any, endpoint: Endpoint, body: dict[str, Any]) -> bytes:
    """Ask until there is an answer, the tries are used up, or the server says that trying makes no sense."""
    import httpx

    reason = ""
    for number in range(endpoint.tries):
        wait = min(2.0**number, LONGEST_WAIT)
        try:
            with client.stream("POST", endpoint.url, json=body) as response:
                content = _limited(response, endpoint)
            if response.status_code == 200:
                return content
            reason = f"status {response.status_code}, {_told(content)}"
            if response.status_code not in PASSING:
                raise EndpointError(f"{endpoint.url} refuses ({reason}): {_advice(response.status_code)}.")
            wait = _waiting(response.headers.get("retry-after"), wait)
        except httpx.TimeoutException:
            reason = f"no answer within {endpoint.timeout:g} seconds"
        except httpx.HTTPError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
        if number + 1 < endpoint.tries:
            time.sleep(wait)
    raise EndpointError(
        f"{endpoint.url} did not answer in {endpoint.tries} tries ({reason}): start it, or give another address; what "
        "it answered before is kept."
    )


def _limited(response: Any, endpoint: Endpoint) -> bytes:
    content = b""
    for part in response.iter_bytes():
        content += part
        if len(content) > LARGEST_ANSWER:
            raise EndpointError(f"{endpoint.url} answers without end: give the address of an OpenAI-compatible server.")
    return content


def _waiting(said: str | None, usual: float) -> float:
    try:
        return min(max(float(said or usual), 0.0), LONGEST_WAIT)
    except ValueError:
        return usual


def _told(content: bytes) -> str:
    """What an error says, in one short line."""
    text = content.decode("utf-8", "replace")
    try:
        error = json.loads(text).get("error")
        text = str(error.get("message") if isinstance(error, dict) else error or text)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:200] or "without a word"


def _advice(status: int) -> str:
    if status in (401, 403):
        return f"put the key that it wants into {KEY}"
    if status == 404:
        return "check the address, which often ends with /v1, and --questions-model"
    if 300 <= status < 400:
        return "give the address that it sends to"
    return "check --questions-model and what the server takes"


def _content(content: bytes, endpoint: Endpoint) -> str:
    try:
        return str(json.loads(content)["choices"][0]["message"]["content"] or "")
    except (ValueError, KeyError, IndexError, TypeError):
        raise EndpointError(
            f"{endpoint.url} answers something else than OpenAI's format ({_told(content)}): give the address of an "
            "OpenAI-compatible server."
        ) from None
