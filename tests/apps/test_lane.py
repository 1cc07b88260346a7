"""Long runs in line: one at a time, a few a visitor, none without a listener, and short requests beside them."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from apps import lane as lanes
from apps import training_asked as training
from apps.lane import EACH, MOST, Lane
from apps.live import follow
from engine import Collection
from engine.errors import BusyError, InputError
from engine.pooling import METHODS
from tests.apps.conftest import QUESTIONS
from tests.apps.test_guard import JSON, ask, port_of
from tests.apps.test_train import REQUEST

if TYPE_CHECKING:
    from pathlib import Path

    from apps.explorer import Server


def until(happened: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Job:
    """A run that counts until it is let go, and says when it begins and ends."""

    def __init__(self) -> None:
        self.begun, self.ended, self.go, self.stopped = (threading.Event() for _ in range(4))

    def run(self) -> Iterator[int]:
        self.begun.set()
        try:
            number = 0
            while not self.go.wait(0.01) and not self.stopped.is_set():
                number += 1
                yield number
            yield -1
        finally:
            self.ended.set()


def start(lane: Lane, job: Job, visitor: str = "v", session: str = "s") -> tuple[list[Any], threading.Thread]:
    values: list[Any] = []

    def work() -> None:
        try:
            values.extend(lane.follow(visitor, session, job.run, job.stopped.set))
        except Exception as error:
            values.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return values, thread


def test_runs_take_turns_in_the_order_they_came() -> None:
    lane, jobs = Lane(lambda session: True), [Job() for _ in range(3)]
    started = []
    for number, job in enumerate(jobs):
        started.append(start(lane, job))
        until(lambda number=number: len(lane._line) == number + 1)
    for job, (values, thread) in zip(jobs, started, strict=True):
        until(job.begun.is_set)
        assert sum(other.begun.is_set() and not other.ended.is_set() for other in jobs) == 1
        job.go.set()
        thread.join(20)
        assert values[-1] == -1
    assert not lane.busy()


def test_a_visitor_and_all_of_them_have_only_so_many_places() -> None:
    lane, job = Lane(lambda session: True), Job()
    for number in range(MOST):
        start(lane, job, visitor=f"visitor {number // EACH}")
    until(lambda: len(lane._line) == MOST)
    for visitor, expected in (("visitor 0", "from your address"), ("another", "of visitors")):
        with pytest.raises(BusyError, match=expected):
            next(lane.follow(visitor, "s", job.run, job.stopped.set))
    job.go.set()
    until(lambda: not lane._line)
    assert next(lane.follow("visitor 0", "s", lambda: iter([7]), job.stopped.set)) == 7


def test_runs_that_nobody_listens_to_end_at_work_and_in_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 0.3)
    monkeypatch.setattr(lanes, "TICK", 0.05)
    here = {"listener"}
    lane = Lane(lambda session: session in here)
    deserted, waiting, listened = Job(), Job(), Job()
    start(lane, deserted, session="gone")
    until(deserted.begun.is_set)
    start(lane, waiting, session="gone")
    until(lambda: len(lane._line) == 2)
    values, thread = start(lane, listened, session="listener", visitor="w")
    until(deserted.ended.is_set)
    assert deserted.stopped.is_set()
    until(listened.begun.is_set)
    time.sleep(0.6)
    assert not listened.stopped.is_set()
    assert waiting.stopped.is_set() or not waiting.begun.is_set()
    here.clear()
    thread.join(20)
    assert listened.stopped.is_set()
    assert values


def test_the_machine_is_free_only_when_the_run_has_really_ended() -> None:
    lane, record, after = Lane(lambda session: True), threading.Event(), Job()

    def slow(report: Any) -> Iterator[str]:
        yield "first"
        record.wait(20)
        yield "second"

    flag = threading.Event()
    running = lane.follow("v", "s", lambda: follow(slow, flag), flag.set)
    assert next(running) == ("record", "first")
    cast(Any, running).close()
    assert flag.is_set()
    start(lane, after)
    time.sleep(0.3)
    assert not after.begun.is_set(), "the record at hand still keeps the machine busy"
    record.set()
    until(after.begun.is_set)
    after.go.set()


def test_stop_takes_a_waiting_run_out_of_the_line() -> None:
    lane, first, second = Lane(lambda session: True), Job(), Job()
    start(lane, first, session="a")
    until(first.begun.is_set)
    values, thread = start(lane, second, session="b")
    until(lambda: len(lane._line) == 2)
    lane.halt("b")
    thread.join(20)
    assert isinstance(values[0], InputError)
    first.go.set()
    until(lambda: not lane._line)
    assert not second.begun.is_set()


def test_what_a_run_raises_arrives_and_frees_the_machine() -> None:
    lane = Lane(lambda session: True)

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    values = lane.follow("v", "s", broken, lambda: None)
    assert next(values) == 1
    with pytest.raises(ValueError, match="broken"):
        next(values)
    assert not lane._line


def test_models_trained_in_the_browser_have_a_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_collection: Collection
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(training, "MOST_MODELS", 2)
    training.check_room()
    for name in ("one", "two"):
        (tmp_path / "models" / name).mkdir(parents=True)
    with pytest.raises(InputError, match="fewer than 2 models"):
        training.read_request(REQUEST, tiny_collection)
    monkeypatch.setattr(training, "MOST_MODELS", 3)
    monkeypatch.setattr(training, "MOST_MODEL_BYTES", 1000)
    (tmp_path / "models" / "two" / "weights").write_bytes(b"x" * 1000)
    with pytest.raises(InputError, match="fewer than 3 models"):
        training.read_request(REQUEST, tiny_collection)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["one", "two"]


def listen(port: int, session: str) -> socket.socket:
    """Open the stream of a session's messages, as its page does."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(
        f"GET /gradio_api/queue/data?session_hash={session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    )
    return connection


def read_until(connection: socket.socket, text: str) -> str:
    found = ""
    while text not in found:
        part = connection.recv(65_536).decode("utf-8", "replace")
        assert part, f"the stream ended without {text!r}: {found[-2000:]}"
        found += part
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_posts_of_long_trainings_leave_the_search_alone_and_end_unheard(server: Server) -> None:
    pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
    port = port_of(server)
    functions = {event: number for number, fn in server.blocks.fns.items() for _, event in fn.targets}

    def join(event: str, session: str, data: dict[str, Any]) -> None:
        sent = {"data": [], "fn_index": functions[event], "session_hash": session, "event_data": data}
        assert ask(port, "/gradio_api/queue/join", json.dumps(sent).encode(), **JSON)[0] == 200

    def search() -> float:
        begin = time.monotonic()
        body = json.dumps({"data": [QUESTIONS["wait"], 3]}).encode()
        status, text, _ = ask(port, "/gradio_api/run/search", body, **JSON)
        assert status == 200
        assert "time.sleep" in text
        return time.monotonic() - begin

    request = {**REQUEST, "steps": "5000", "every": "5000"}
    for number in range(30):
        join("train", f"flood-{number}", request)
    times = [search() for _ in range(20)]
    assert server.workspaces.training.busy()
    print("seconds a search:", sorted(round(seconds, 2) for seconds in times))
    assert statistics.median(times) < 1
    assert sorted(times)[-3] < 1.5
    study = {"method": METHODS[0], "index": "exact"}
    join("measure", "student", study)
    with listen(port, "student") as stream:
        assert '"running"' in read_until(stream, '"running"'), "a study does not wait for trainings"
    join("train", "late", request)
    with listen(port, "late") as stream:
        assert "from your address" in read_until(stream, "process_completed")
    until(lambda: not server.workspaces.training.busy() and not server.workspaces.training._line, 120)
