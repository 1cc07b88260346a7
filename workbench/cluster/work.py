"""What a cluster does for a command: encoders, indexes and functions that work on its nodes."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from engine import Encoder
from engine.errors import WorkerError
from engine.indexes import Index
from engine.indexes.sharded import ShardedIndex
from engine.indexes.sharded.hosts import portable
from workbench.cluster import nodes
from workbench.cluster.encode import ClusterEncoder
from workbench.cluster.shards import Actors
from workbench.paths import HOME_VARIABLE, data_folder

T = TypeVar("T")
R = TypeVar("R")


class Cluster:
    """A cluster that this process has joined; use `connected`.

    Args:
        ray: The module.
    """

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self._actors: Actors | None = None
        self._told = False
        self._seen: set[Path] = set()

    def __str__(self) -> str:
        alive = self.nodes()
        counts = {name: int(sum(node["Resources"].get(name, 0) for node in alive)) for name in ("CPU", "GPU")}
        shown = self.ray._private.worker.get_dashboard_url()
        return (
            f"Ray: {len(alive)} node{'s' * (len(alive) > 1)}, {counts['CPU']} processors, {counts['GPU']} GPUs"
            f"{f'; dashboard at http://{shown}' if shown else ''}."
        )

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, by id: address and resources."""
        return sorted((node for node in self.ray.nodes() if node["Alive"]), key=lambda node: node["NodeID"])

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Make sure that every node can work for this process; see `connected`."""
        self.check_folder(data_folder())
        try:
            yield
        finally:
            self._actors = None

    def check_folder(self, folder: Path) -> None:
        """Make sure, once, that every node has this package and sees a folder.

        Raises:
            InputError: one does not.
            WorkerError: one does not answer.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        folder = folder.resolve()
        if any(folder.is_relative_to(seen) for seen in self._seen):
            return
        report = self.ray.remote(num_cpus=0)(nodes.reporter())
        with ExitStack() as stack:
            path = str(stack.enter_context(nodes.marked(folder)))
            asked = {}
            for node in self.nodes():
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                asked[node["NodeID"]] = _named(node), report.options(scheduling_strategy=here).remote(path)
            answers: dict[str, Any] = {}
            until = time.monotonic() + nodes.PATIENCE_S
            for node_id, (name, reference) in asked.items():
                try:
                    answers[name] = self.ray.get(reference, timeout=max(until - time.monotonic(), 0.1))
                except Exception as error:
                    if node_id in {node["NodeID"] for node in self.nodes()}:  # one that was lost by now does no work
                        answers[name] = error
            nodes.check(answers, folder, nodes.own_mark())
        self._seen.add(folder)

    def encoder(self, encoder: Encoder) -> Encoder:
        """See `Elsewhere`."""
        return encoder if isinstance(encoder, ClusterEncoder) else cast(Encoder, ClusterEncoder(encoder, self))

    def index(self, index: Index) -> Index:
        """See `Elsewhere`: shards are built as tasks and searched by actors that stay while the cluster is used."""
        if not isinstance(index, ShardedIndex):
            if not self._told:
                self._told = True
                warnings.warn(
                    f"An index of kind {index.kind} is one piece, built and searched in this process: "
                    f"sharded:of={index.kind},shards=N shares it out.", stacklevel=2
                )  # fmt: skip
            return index
        self.check_folder(index.path)
        self._actors = self._actors or Actors(self)
        return index.on(self._actors)

    def each(self, work: Callable[[T], R], items: Sequence[T], seconds: float | None = None) -> Iterator[tuple[int, R]]:
        """See `Elsewhere`: each item is a task on one processor, done again elsewhere when its node is lost.

        Raises:
            WorkerError: the process of a task ended each time it was tried.
        """
        task = self.ray.remote(num_cpus=1, max_retries=RETRIES)(at_home)
        home = str(data_folder().resolve()), os.getcwd()
        waiting = {task.remote(home, work, item): number for number, item in enumerate(items)}
        until = None if seconds is None else time.monotonic() + seconds
        try:
            while waiting:
                left = None if until is None else max(until - time.monotonic(), 0.0)
                done, _ = self.ray.wait(list(waiting), num_returns=1, timeout=left)
                if not done:
                    return
                yield waiting.pop(done[0]), outcome(self.ray, done[0])
        finally:
            for reference in waiting:
                self.ray.cancel(reference, force=True)


RETRIES = 5  # of a task whose node is lost


def _named(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"


def at_home(home: tuple[str, str], work: Callable[[Any], Any], item: Any) -> Any:
    """Do something on a node with the folders of the command, on one thread; an error is returned, not raised.

    Args:
        home: The data folder, and the one that relative paths begin at.
        work: What to do.
        item: What with.
    """
    os.environ[HOME_VARIABLE], os.environ["WORKBENCH_THREADS"] = home[0], "1"
    with suppress(OSError):
        os.chdir(home[1])
    try:
        return work(item)
    except Exception as error:
        return portable(error)


def outcome(ray: Any, reference: Any) -> Any:
    """What a task returned; the error that it returned is raised.

    Raises:
        WorkerError: its process ended, however often it was tried.
    """
    try:
        found = ray.get(reference)
    except ray.exceptions.RayError as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkerError(
            f"A task was lost and could not be done again ({first}): look whether memory is short on the nodes, then "
            "start the command again; what was finished is kept."
        ) from None
    if isinstance(found, Exception):
        raise found
    return found
