"""`--ray`, with an address or without, in every place of a command line; and addresses where nobody answers."""

from __future__ import annotations

import inspect
import socket
import time
from threading import Thread

import pytest
import typer

from engine.errors import InputError, WorkerError
from workbench.cli.app import app
from workbench.cli.commands import SHARED, register
from workbench.cli.sharing import with_ray, worded
from workbench.cluster.addresses import is_address
from workbench.cluster.connect import connected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("search --ray question", "search --ray=local question"),
        ("search question --ray", "search question --ray=local"),
        ("search --ray 10.0.0.7:6379 question", "search --ray=10.0.0.7:6379 question"),
        ("search --ray auto question", "search --ray=auto question"),
        ("encode --ray [fd00::2]:6379 a b", "encode --ray=[fd00::2]:6379 a b"),
        ("encode --ray --json a b", "encode --ray=local --json a b"),
        ("search -- --ray", "search -- --ray"),
        ("search --ray=head:6379 x", "search --ray=head:6379 x"),
        ("search --ray 10.0.0.7 question", "search --ray=10.0.0.7 question"),  # wrong, and said to be
        ("search --ray ray://head:10001 question", "search --ray=ray://head:10001 question"),
        ("search --ray 1.5 question", "search --ray=local 1.5 question"),
    ],
)
def test_the_address_may_be_left_out(typed, meant):
    assert worded(typed.split()) == meant.split()


def test_what_is_an_address():
    assert all(map(is_address, ("auto", "localhost:6379", "10.0.0.7:6379", "[::1]:1")))
    assert not any(map(is_address, ("question", "a b:1", "http://x", "x:", "local", "ray://x:10001", "")))


def test_the_commands_whose_work_can_be_shared_out_have_the_option():
    register(app)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    having = {name for name, command in commands.items() if any("--ray" in entry.opts for entry in command.params)}
    assert having == SHARED == {"encode", "index", "search", "evaluate", "sweep", "recommend", "mine"}


def test_without_the_option_a_command_is_called_as_it_was():
    called = []
    wrapped = with_ray(lambda a, b=2: called.append((a, b)))
    wrapped(a=1, b=3, ray="")
    assert called == [(1, 3)]
    assert list(inspect.signature(wrapped).parameters) == ["a", "b", "ray"]


def test_an_address_where_no_cluster_answers_is_one_sentence_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(WorkerError, match=f"No cluster answers at {address}"), connected(address):
            pass
        assert time.monotonic() - start < 10
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:  # listens, and is no cluster
            if answer:
                Thread(target=lambda server=server, answer=answer: server.accept()[0].sendall(answer)).start()
            address = f"127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(WorkerError, match=f"What listens at {address} is no Ray cluster"), connected(address):
                pass
    assert time.monotonic() - start < 20
    for wrong in ("ray://10.0.0.7:10001", "10.0.0.7", "somewhere", "http://x:1"):
        with (
            pytest.raises(InputError, match="Expected the address of a cluster as host:port, or auto"),
            connected(wrong),
        ):
            pass
