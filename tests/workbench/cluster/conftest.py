"""Ray's own cluster of several nodes on this machine, on loopback, ended with the tests of a file."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from workbench.cluster.connect import ALONE, QUIET

PORTS = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")
LISTEN = "dashboard_agent_listen_port"
SLOW = {  # a machine with much to do
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "300",
}


def node(folder: Path, head: bool) -> dict[str, Any]:
    """Arguments of a node with one processor.

    Its ports are fixed beforehand, and the file is there that says that its helper has no page to show: a node waits a
    quarter of a minute for both, then ends itself, and on a machine with much to do its helper takes longer to import.
    """
    name, session = secrets.token_hex(28), folder / "s"
    session.mkdir(exist_ok=True)
    (session / f"{LISTEN}_{name}").write_text("-1")
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        ports = {port: server.getsockname()[1] for port, server in zip(PORTS, free, strict=True)}
    return {
        **ports, "num_cpus": 1, "include_log_monitor": False, "include_dashboard": False, "temp_dir": str(folder),
        "env_vars": {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": name}, **({"session_name": session.name} if head else {}),
    }  # fmt: skip


class Nodes:
    """A cluster that nodes can join and leave.

    Args:
        count: Nodes at the beginning.
    """

    def __init__(self, count: int) -> None:
        import ray
        from ray._private.utils import get_ray_address_file
        from ray.cluster_utils import Cluster

        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short, since sockets lie in it
        Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)  # where no cluster was before
        self.cluster = Cluster(initialize_head=True, head_node_args=node(self.folder, True), shutdown_at_exit=True)
        self.others: list[Any] = []
        for _ in range(count - 1):
            self.add()
        ray.init(address=self.cluster.address, logging_level=logging.ERROR, log_to_driver=False)

    def add(self) -> None:
        """Let one more join."""
        self.others.append(self.cluster.add_node(**node(self.folder, False)))

    def lose(self) -> None:
        """Kill the processes of one, as when its machine is gone."""
        self.cluster.remove_node(self.others.pop(), allow_graceful=False)

    def end(self) -> None:
        """End all."""
        import ray

        ray.shutdown()
        self.cluster.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[int], Nodes]]:
    """Starts the cluster of a file."""
    pytest.importorskip("ray")
    from ray._private import ray_constants

    started: list[Nodes] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, **ALONE, **SLOW}.items():
            patch.setenv(name, value)
        patch.setattr("workbench.cluster.nodes.PATIENCE_S", 280.0)
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # it is imported by now
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])))

        def begin(count: int) -> Nodes:
            started.append(Nodes(count))
            return started[-1]

        try:
            yield begin
        finally:
            for nodes in started:
                nodes.end()
