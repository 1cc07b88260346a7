"""A cluster of this machine: it listens on loopback only, and nothing of it is left afterwards."""

from __future__ import annotations

import shutil
import tempfile

import psutil
import pytest

from workbench.cluster.connect import connected

pytestmark = pytest.mark.slow


def square(number):
    return number * number


def below():
    """The processes that this one has started, with those that they have."""
    return {process.pid: process for process in psutil.Process().children(recursive=True)}


def test_a_local_cluster_keeps_to_loopback_and_ends_with_the_block(monkeypatch):
    ray = pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short, since sockets lie in it
    monkeypatch.setenv("RAY_TMPDIR", folder)
    before = below()
    with connected(processors=1) as cluster:
        assert dict(cluster.each(square, [2, 3])) == {0: 4, 1: 9}
        started = {pid: process for pid, process in below().items() if pid not in before}
        ports = [
            entry for process in started.values() for entry in process.net_connections() if entry.status == "LISTEN"
        ]
        assert started
        assert ports
        assert {entry.laddr.ip for entry in ports} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert not ray.is_initialized()
    _, left = psutil.wait_procs(started.values(), timeout=30)
    assert left == []
    shutil.rmtree(folder)
