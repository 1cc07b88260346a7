"""A Ray cluster for the length of a command: one of its own on this machine, or one that answers at an address."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from engine.errors import InputError, WorkerError, missing_extra
from workbench.cluster.addresses import AUTO, LOCAL, is_address
from workbench.cluster.work import Cluster
from workbench.elsewhere import working

LOOPBACK = "127.0.0.1"
DASHBOARD = "aiohttp_cors"  # what ray[default] brings for its pages
PATIENCE_S = 3.0  # for somebody to answer at an address
FRAME, SETTINGS = 9, 4  # bytes of a frame's head in HTTP/2, and the type of the first frame of either side (RFC 9113)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_ENABLE_AUTO_CONNECT": "0",  # nothing starts a cluster but this module
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # ours are shown
}
ALONE = {
    # Ray puts the machine's own address in place of loopback, on every system but those where this variable is read.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",  # the workers do this command's work, and nothing else here is waited for
}


@contextmanager
def connected(address: str = LOCAL, processors: int | None = None) -> Iterator[Cluster]:
    """Share out what can be shared out over a cluster within the block.

    A local cluster listens on loopback only, tells nobody of its use, and is ended with the block. Where this process
    is connected already, as in a notebook that called `ray.init`, that cluster is taken and left as it is.

    Args:
        address: "local" starts one on this machine; "host:port" is that of a cluster's head, "auto" that of one which
            was started on this machine. This machine has to be one of its nodes.
        processors: Of a local cluster; all of this machine when None.

    Yields:
        The cluster.

    Raises:
        InputError: no address, or a node without this package, with another version of it, or that does not see the
            folder of data.
        MissingExtraError: Ray is not installed.
        WorkerError: nobody answers, or what answers is no cluster that this process can join.
    """
    if address != LOCAL and not is_address(address):
        raise InputError(
            f"Expected the address of a cluster as host:port, or auto, got {address!r}: `ray start --head` prints it."
        )
    if address not in (LOCAL, AUTO):
        _answers(address)
    with _told(QUIET if address != LOCAL else {**QUIET, **ALONE}):
        ray = _imported(alone=address == LOCAL)
        with _started(ray, address, processors):
            cluster = Cluster(ray)
            with cluster.checked(), working(cluster):
                yield cluster


@contextmanager
def _told(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables that Ray reads, here and in what it starts, for the length of the block; those of the caller stay."""
    ours = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _answers(address: str) -> None:
    """Raise WorkerError unless somebody listens at an address who speaks HTTP/2, as the head of a cluster does.

    Ray itself would wait for a minute and longer for what does not.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            with suppress(OSError):  # no answer, or the end of the connection
                connection.sendall(PREFACE)
                head = connection.recv(FRAME)
                if len(head) == FRAME and head[3] == SETTINGS:
                    return
            raise WorkerError(
                f"What listens at {address} is no Ray cluster: give the address that `ray start --head` printed."
            )
    except (OSError, OverflowError) as error:
        raise WorkerError(
            f"No cluster answers at {address} ({error}): start one with `ray start --head`, or correct the address."
        ) from None


def _imported(alone: bool) -> Any:
    """Ray, which keeps to loopback or not, whatever it was told when it was first imported."""
    try:
        import ray
        from ray._private import ray_constants
    except ImportError as error:
        raise missing_extra("ray", "cluster", "" if error.name == "ray" else f"ray cannot be used ({error})") from None
    if sys.platform == "linux":
        ray_constants.ENABLE_RAY_CLUSTER = not alone
    return ray


@contextmanager
def _started(ray: Any, address: str, processors: int | None) -> Iterator[None]:
    """A cluster that is started or joined for the length of the block; one that this process is in already stays."""
    if ray.is_initialized():
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(_silent(ray))
        if address == LOCAL:
            # Of its own: nothing stays behind, and nobody who looks for a cluster of this machine finds this one.
            folder = stack.enter_context(tempfile.TemporaryDirectory(
                prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True
            ))  # fmt: skip
            stack.callback(ray.shutdown)
            _start(ray, folder, processors)
        else:
            stack.callback(ray.shutdown)
            none = "No cluster runs on this machine" if address == AUTO else f"No cluster answers at {address}"
            _joined(ray, f"What answers at {address} cannot be joined", none, address=address)
        yield


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Nothing of Ray's own is written to standard output, where results stand, not even that a node is lost."""
    worker = ray._private.worker
    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


def _short_folder() -> str | None:
    """Where Ray's sockets lie, whose names have about a hundred characters at most, those of the folder included."""
    return os.environ.get("RAY_TMPDIR") or ("/tmp" if os.path.isdir("/tmp") else None)


def _start(ray: Any, folder: str, processors: int | None) -> None:
    """Start a cluster on loopback, whatever others run on this machine."""
    settings = {"address": "local", "num_cpus": processors or os.cpu_count(), "_node_ip_address": LOOPBACK,
                "_temp_dir": folder, "dashboard_host": LOOPBACK,
                "include_dashboard": find_spec(DASHBOARD) is not None}  # fmt: skip
    try:
        _joined(ray, "No local cluster starts", **settings)
    except WorkerError:  # its helpers have a quarter of a minute to be imported, which is short the first time
        _joined(ray, "No local cluster starts", **settings)
    if any(node["NodeManagerAddress"] != LOOPBACK for node in ray.nodes()):
        raise WorkerError(
            "Ray would listen beyond loopback here: start a cluster yourself, and give --ray its address."
        )


def _joined(ray: Any, failed: str, none: str = "", **settings: Any) -> None:
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **settings)
    except Exception as error:  # Ray raises nearly anything, Exception itself too
        ray.shutdown()
        if none and isinstance(error, ConnectionError):
            raise WorkerError(f"{none}: start one with `ray start --head`, or give the address of one.") from None
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkerError(
            f"{failed} ({first}): use the same versions of Python and Ray on all machines, and run this on one of them."
        ) from None
