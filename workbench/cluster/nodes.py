"""What every node of a cluster must have: this package, the same source of it, and the folder of data."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.errors import InputError, WorkerError
from engine.machine import versions

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("engine", "workbench")
PACKAGE = "late-interaction-workbench"
PATIENCE_S = 120.0  # for a node to start an interpreter and import
ALIKE = ("numpy", "torch", "transformers", "sentence-transformers", "numba")  # that decide bits of vectors and scores


@lru_cache
def own_mark() -> dict[str, str]:
    """Version of this package, a hash of its source, and versions of the packages that decide numbers."""
    sources = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
    crc = 0
    for path in sources:
        crc = zlib.crc32(path.read_bytes(), zlib.crc32(path.relative_to(ROOT).as_posix().encode(), crc))
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "not installed"
    found = versions()
    return {"version": version, "source": f"{crc:08x}", **{name: str(found.get(name)) for name in ALIKE}}


def reporter() -> Any:
    """A function that says what a node has; it travels whole, since the package may not be there."""

    def report(marked: str) -> dict[str, Any]:
        try:
            from workbench.cluster.nodes import own_mark
        except ImportError as error:
            return {"missing": str(error)}
        import os

        return {"mark": own_mark(), "sees": os.path.exists(marked)}

    return report


@contextmanager
def marked(folder: Path) -> Iterator[Path]:
    """A file in a folder for the length of the block: who sees it sees the same folder."""
    path = folder / f".seen-{secrets.token_hex(8)}"
    path.write_text("", encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def check(answers: Mapping[str, Mapping[str, Any] | Exception], folder: Path, mine: Mapping[str, str]) -> None:
    """Raise InputError at the first node that cannot work for this process.

    Args:
        answers: Node -> what `report` said there, or the error that came instead.
        folder: The folder that all must see.
        mine: `own_mark` of this process.

    Raises:
        InputError: the package is missing or another one, or the folder is not seen.
        WorkerError: a node does not answer.
    """
    for node, said in answers.items():
        if isinstance(said, Exception):
            first = (str(said).strip().splitlines() or [type(said).__name__])[0]
            raise WorkerError(f"Node {node} does not answer ({first}): remove it from the cluster or start it again.")
        if "missing" in said:
            raise InputError(
                f"Node {node} does not have this package ({said['missing']}): install "
                f"`{PACKAGE}[cluster]` {mine['version']} there."
            )
        theirs = said["mark"]
        name = next((name for name in mine if theirs.get(name) != mine[name]), None)
        if name is not None:
            what = PACKAGE if name in ("version", "source") else name
            raise InputError(
                f"Node {node} has another version of {what} ({theirs.get(name)}, here {mine[name]}): install the same "
                "on every machine."
            )
        if not said["sees"]:
            raise InputError(
                f"Node {node} does not see {folder}: set WORKBENCH_HOME, and write indexes, to a disk that all share."
            )
