"""The demo on a machine with one core, 4 GB and a processor without vector instructions that we know."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 4 << 30


def small() -> None:
    """Called in the child before it starts: one core, and no more than 4 GB of its own."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of one core and of memory are those of Linux")
def test_the_demo_works_on_a_small_machine(tmp_path: Path) -> None:
    own = {"WORKBENCH_HOME": str(tmp_path), "WORKBENCH_SIMD": "plain", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "workbench", "demo", "--table-only", "--json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **own}, preexec_fn=small,  # noqa: PLW1509, no threads here
        stdout=(tmp_path / "out").open("w"), stderr=(tmp_path / "err").open("w"),
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (tmp_path / "err").read_text()[-3000:]
    assert used.ru_maxrss * 1024 < MEMORY
    rows = {row["system"]: row for row in json.loads((tmp_path / "out").read_text())["rows"]}
    assert set(rows) == {"exact MaxSim", "PLAID", "HNSW", "single vector"}
    assert all(row["ndcg"] > 0.5 for row in rows.values())
