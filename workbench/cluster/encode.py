"""Encoding as Ray Data: actors that load the model once, and units of texts that any of them encodes to the same bits.

A unit is what `Encoder` puts through the tokenizer together, so that every batch holds what it would hold without a
cluster. An actor that dies takes its unit with it, nothing else: units that did not come are encoded in another round.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine import Encoder, TokenEmbeddings
from engine.encoding import Progress, Task, chunks, chunks_of
from engine.errors import InputError, WorkerError
from engine.indexes.sharded.hosts import portable
from engine.letters import check_texts
from engine.model_names import ModelName

if TYPE_CHECKING:
    from workbench.cluster.work import Cluster

PROCESSORS = 4  # of an actor at most: more threads of one interpreter wait for each other
SHARE = 0.01  # of a processor that an actor asks for: one whose node is lost finds room beside another
ONCE = {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}  # a text that kills must not go on
ON_GPU = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Unit:
    """Texts that are encoded together.

    Args:
        block: The lot that they belong to.
        places: Their positions in it.
        texts: The texts.
    """

    block: int
    places: list[int]
    texts: list[str]


class ClusterEncoder:
    """Encodes documents on a cluster; in all else the encoder that it is made of.

    Args:
        encoder: The encoder; every actor has another copy.
        cluster: Where.
    """

    def __init__(self, encoder: Encoder, cluster: Cluster) -> None:
        self.encoder, self._cluster = encoder, cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_query(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """See `Encoder`."""
        return self._encode(texts, "query", progress)

    def encode_document(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """See `Encoder`."""
        return self._encode(texts, "document", progress)

    def _encode(self, texts: Sequence[str], task: Task, progress: Progress | None) -> TokenEmbeddings:
        ((_, found),) = self.encode_blocks([texts], task, progress)
        return found

    def encode_blocks(
        self, blocks: Sequence[Sequence[str]], task: Task, progress: Progress | None = None
    ) -> Iterator[tuple[int, TokenEmbeddings]]:
        """See `workbench.elsewhere.SpreadEncoder`.

        Raises:
            InputError: a text that cannot be encoded, or a node whose model is another one.
            WorkerError: no actor encodes anything any more.
        """
        blocks = [check_texts(texts) for texts in blocks]
        units = [
            Unit(i, places, [texts[p] for p in places])
            for i, texts in enumerate(blocks)
            for places in self._chunks(texts, task)
        ]
        total, done = sum(map(len, blocks)), 0
        if len(units) <= 1:  # nothing to share out
            encode = self.encoder.encode_query if task == "query" else self.encoder.encode_document
            for number, texts in enumerate(blocks):
                yield number, encode(texts, progress)
            return
        missing = [sum(unit.block == i for unit in units) for i in range(len(blocks))]
        parts: dict[int, list[tuple[Unit, TokenEmbeddings]]] = {i: [] for i in range(len(blocks))}
        for unit, found in self._units(units, task):
            parts[unit.block].append((unit, found))
            missing[unit.block] -= 1
            done += len(unit.texts)
            if progress is not None:
                progress(done, total)
            if not missing[unit.block]:
                ours = parts.pop(unit.block)
                places = [np.array(unit.places) for unit, _ in ours]
                yield unit.block, TokenEmbeddings.join([found for _, found in ours], places)

    def _chunks(self, texts: Sequence[str], task: Task) -> Iterator[list[int]]:
        return chunks_of(self.encoder, texts, task) if isinstance(self.encoder, Encoder) else chunks(texts, None)

    def _units(self, units: list[Unit], task: Task) -> Iterator[tuple[Unit, TokenEmbeddings]]:
        """Encode units, in rounds, until all are there."""
        left = dict(enumerate(units))
        while left:
            before = len(left)
            for number, found in self._round(left, task):
                yield left.pop(number), found
            if len(left) == before:
                raise WorkerError(
                    f"No node encoded any of the {before} parts that are left: look whether memory is short, then "
                    "start the command again; what was finished is kept."
                )

    def _round(self, units: Mapping[int, Unit], task: Task) -> Iterator[tuple[int, TokenEmbeddings]]:
        """Encode units once with Ray Data; those whose actor died do not come."""
        from ray import data

        rows = [{"number": number, "texts": list(unit.texts)} for number, unit in units.items()]
        count, threads, actor = self._actors(len(rows))
        with quiet(data):
            with warnings.catch_warnings():  # from 2.64 on these arguments have another name
                warnings.simplefilter("ignore")
                made = data.from_items(rows, override_num_blocks=len(rows)).map(
                    cast(Any, Actor), fn_constructor_args=(recipe(self.encoder), task, threads),
                    ray_remote_args_fn=lambda: ONCE, compute=data.ActorPoolStrategy(size=count), **actor,
                )  # fmt: skip
            for row in made.iter_rows():
                yield int(row["number"]), self._found(row)

    def _found(self, row: dict[str, Any]) -> TokenEmbeddings:
        """The embeddings that an actor sent, or its error."""
        if row["error"]:
            raise InputError(row["error"])
        lengths = np.frombuffer(row["lengths"], np.int64)
        values = np.frombuffer(row["values"], row["dtype"]).reshape(int(lengths.sum()), self.encoder.dim)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        counts = np.frombuffer(row["counts"], np.int64).reshape(-1, 2) if row["counts"] else None
        return TokenEmbeddings(values, offsets, self.encoder.fingerprint, added=self.encoder.added, counts=counts)

    def _actors(self, units: int) -> tuple[int, int, dict[str, Any]]:
        """How many actors, the threads of each, and what it asks for: a GPU where there are some, or processors."""
        alive = [node["Resources"] for node in self._cluster.nodes()]
        gpus = int(sum(node.get("GPU", 0) for node in alive))
        if gpus and self.encoder.dtype in ON_GPU:
            return min(gpus, units), 0, {"num_gpus": 1}
        processors = [int(node.get("CPU", 0)) for node in alive]
        each = max(1, min([PROCESSORS, *(n for n in processors if n)]))
        return max(1, min(units, sum(n // each for n in processors))), each, {"num_cpus": SHARE * each}


@contextmanager
def quiet(data: Any) -> Iterator[None]:
    """Data sets that are made within show nothing, and leave out the rows of an actor that died."""
    context, log = data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, context.max_errored_blocks, log.level
    context.enable_progress_bars, context.max_errored_blocks = False, -1
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.max_errored_blocks = before[:2]
        log.setLevel(before[2])


def recipe(encoder: Encoder) -> dict[str, Any]:
    """How an actor comes by the encoder: by the model's name where it was loaded by one, else as it is."""
    if not isinstance(encoder, Encoder):
        return {"encoder": encoder}
    shortened = encoder.shortened.lstrip("-")
    wanted = ModelName.parse(encoder.name)
    if Path(wanted.name).is_dir():
        wanted = replace(wanted, name=str(Path(wanted.name).resolve()))
    return {"name": str(wanted), "dtype": encoder.dtype, "dim": int(shortened) if shortened else None,
            "fingerprint": encoder.fingerprint, "batch_tokens": encoder.batch_tokens}  # fmt: skip


class Actor:
    """Encodes units.

    Args:
        made: From `recipe`.
        task: "query" or "document".
        threads: That it encodes with; 0 leaves it to the machine.
    """

    def __init__(self, made: dict[str, Any], task: Task, threads: int = 0) -> None:
        if threads:
            os.environ.setdefault("WORKBENCH_THREADS", str(threads))  # others encode beside it
        self._task, self._made, self._encoder, self._error = task, made, made.get("encoder"), ""
        if self._encoder is None:
            try:
                self._encoder = _loaded(made)
            except Exception as error:
                self._error = str(portable(error))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Encode one unit; an error is returned as its sentence."""
        empty = {"values": b"", "lengths": b"", "counts": b"", "dtype": "float32"}
        if self._error:
            return {"number": row["number"], "error": self._error, **empty}
        assert self._encoder is not None
        encode = self._encoder.encode_query if self._task == "query" else self._encoder.encode_document
        try:
            found = encode([str(text) for text in row["texts"]])
        except Exception as error:
            return {"number": row["number"], "error": str(portable(error)), **empty}
        return {
            "number": row["number"], "error": "", "values": found.values.tobytes(), "dtype": str(found.values.dtype),
            "lengths": found.lengths.astype(np.int64).tobytes(),
            "counts": b"" if found.counts is None else found.counts.tobytes(),
        }  # fmt: skip


def _loaded(made: dict[str, Any]) -> Encoder:
    import ray

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    device = "cuda" if ray.is_initialized() and ray.get_gpu_ids() else "cpu"
    encoder = Encoder.load(made["name"], device=device, dtype=made["dtype"], dim=made["dim"])
    if encoder.fingerprint != made["fingerprint"]:
        raise InputError(
            f"The model {made['name']!r} is another one on node {os.uname().nodename} ({encoder.fingerprint}, here "
            f"{made['fingerprint']}): copy the same files to every machine."
        )
    if device == "cpu":
        encoder.batch_tokens = made["batch_tokens"]
    return encoder
