"""What a benchmark would fetch, named with its size before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import missing_extra

WAIT_S = 10  # for the hub's answer
DATA = (".parquet", ".jsonl", ".json", ".gz", ".csv", ".tsv", ".arrow", ".zst")


@dataclass(frozen=True)
class Download:
    """A dataset that a benchmark reads.

    Args:
        name: "owner/name" on the hub, or a folder.
        bytes: Of its files that hold data; None where the hub did not answer.
        state: "a folder here", "kept here", "to be fetched", or why nobody knows.
    """

    name: str
    bytes: int | None
    state: str

    def __str__(self) -> str:
        size = "" if self.bytes is None else f", {self.bytes / 1e6:,.1f} MB"
        return f"{self.name}{size}: {self.state}"


def look_up(name: str, parts: Iterable[str] = (), endpoint: str | None = None) -> Download:
    """What reading a dataset would fetch.

    Args:
        name: "owner/name" on the hub, or a folder.
        parts: Only files whose path holds one of these count; all where none does.
        endpoint: Of the hub; its own when None.

    Returns:
        Its size and whether it is here already; what is kept here may be a part of it.
    """
    folder = Path(name)
    if folder.is_dir():
        sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        return Download(name, _data(sizes, parts), "a folder here")
    try:
        from huggingface_hub import HfApi, constants
    except ImportError:
        raise missing_extra("huggingface_hub", "hub") from None
    kept = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "snapshots"
    state = "kept here" if kept.is_dir() and any(kept.iterdir()) else "to be fetched"
    try:
        found = HfApi(endpoint=endpoint).dataset_info(name, files_metadata=True, timeout=WAIT_S)
    except Exception as error:  # offline, not there, gated: the library and those below it raise many types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Download(name, None, state if state == "kept here" else f"the hub did not say its size ({reason})")
    return Download(name, _data({entry.rfilename: entry.size or 0 for entry in found.siblings or ()}, parts), state)


def _data(sizes: dict[str, int], parts: Iterable[str]) -> int:
    """Bytes of the files that hold data, of some parts where there are such."""
    rows = {path: size for path, size in sizes.items() if path.lower().endswith(DATA)}
    wanted = {path: size for path, size in rows.items() if any(part in path for part in parts)}
    return sum((wanted or rows).values())
