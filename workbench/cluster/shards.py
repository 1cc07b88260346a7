"""Shards on a cluster: built as tasks, searched by actors that stay and open each shard once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import WorkerError
from engine.indexes.sharded import changes
from engine.indexes.sharded.changes import Job
from engine.indexes.sharded.hosts import Ask, Places, Station, portable

if TYPE_CHECKING:
    from workbench.cluster.work import Cluster

PATIENCE_S = 300.0  # for a shard to be opened, and for an actor to be started again elsewhere
RETRIES = 5  # of a job whose node is lost


class Actors(Places):
    """Has shards open in actors, one a processor of the cluster; one whose node is lost is started again on another.

    Args:
        cluster: Where.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._ray, processors = cluster.ray, [int(node["Resources"].get("CPU", 0)) for node in cluster.nodes()]
        super().__init__(max(1, sum(processors)))
        # No processor is asked for, since builds and encodings want them at other times.
        made = self._ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Searcher)
        self._actor = made.options(scheduling_strategy="SPREAD")
        self._running: list[Any] = [None] * len(self._places)

    def change(self, jobs: Sequence[Job]) -> None:
        """See `Host`."""
        task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(build)
        waiting = [task.remote(job) for job in jobs]
        try:
            self._ray.wait(waiting, num_returns=len(waiting))  # none may write any more when the first error is raised
        except BaseException:  # who waits is interrupted
            for reference in waiting:
                self._ray.cancel(reference, force=True)
            raise
        for reference, job in zip(waiting, jobs, strict=True):
            found = self._got(reference, f"the shard {job.target.name} could not be built")
            if isinstance(found, Exception):
                raise found

    def _at(self, parts: Mapping[int, list[Ask]]) -> dict[int, Any]:
        if not self._ray.is_initialized():
            raise WorkerError("The cluster that searches these shards is left by now: open the index again.")
        for place in parts:
            self._running[place] = self._running[place] or self._actor.remote()
        asked = {place: self._running[place].answer.remote(self._wanted(place), asks) for place, asks in parts.items()}
        return {
            place: self._got(reference, f"{', '.join(ask.folder.name for ask in parts[place])} cannot be searched")
            for place, reference in asked.items()
        }

    def _got(self, reference: Any, what: str) -> Any:
        try:
            return self._ray.get(reference, timeout=PATIENCE_S)
        except self._ray.exceptions.RayError as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WorkerError(
                f"On the cluster {what} ({first}): look whether nodes are left and memory is not short."
            ) from None


class Searcher:
    """Searches shards; see `Station`."""

    def __init__(self) -> None:
        os.environ["WORKBENCH_THREADS"] = "1"  # there is one of these a processor
        self._station = Station()

    def answer(self, wanted: Sequence[Any], asks: Sequence[Ask]) -> Any:
        """See `Station`."""
        return self._station(wanted, asks)


def build(job: Job) -> Exception | None:
    """Do a job, also after an attempt that was lost with its node; an error is returned, not raised."""
    os.environ["WORKBENCH_THREADS"] = "1"
    shutil.rmtree(job.target, ignore_errors=True)
    try:
        changes.work(job)
    except Exception as error:
        return portable(error)
    return None
