"""What a run's record must hold before anything relies on it: checked when it is read, more strictly when imported."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.errors import CorruptDataError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a run, which is a folder's name on every system


class _Part(BaseModel):
    """Values of the types that are named; others may stand beside them."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Experiment(_Part):
    collection: str = ""
    model: str = ""
    index: str = ""
    system: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    pool_factor: float | str = 1.0
    pool_method: str = "hierarchical"
    pool: str = ""
    dim: int | None = None
    metrics: list[str] = Field(default_factory=list)


class _Collection(_Part):
    name: str = ""
    fingerprint: str = ""
    judgements_fingerprint: str = ""


class _Score(_Part):
    mean: float
    low: float
    high: float


class _Process(_Part):
    pid: int
    started: float
    host: str


class _Sizes(_Part):
    bytes: float | None = 0


class _Record(_Part):
    """A record as any state of a run has it: what is there is of the right type."""

    id: str
    name: str = ""
    created: str = ""
    experiment: _Experiment = Field(default_factory=_Experiment)
    collection: _Collection = Field(default_factory=_Collection)
    model: dict[str, Any] = Field(default_factory=dict)
    scores: dict[str, _Score] = Field(default_factory=dict)
    sizes: _Sizes = Field(default_factory=_Sizes)
    latency_ms: dict[str, Any] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    empty: list[str] = Field(default_factory=list)
    files: dict[str, int] = Field(default_factory=dict)
    process: _Process | None = None

    @field_validator("id")
    @classmethod
    def _is_a_folder_name(cls, value: str) -> str:
        if not NAME.fullmatch(value) or value.endswith((".", ".partial")):
            raise ValueError("no folder name of letters, digits, '-', '_' and '.'")
        return value


class _FinishedCollection(_Collection):
    name: str = Field()  # which has no default
    fingerprint: str = Field()
    judgements_fingerprint: str = Field()


class _Finished(_Record):
    """A record of a run that is done, complete enough to be compared with others."""

    experiment: _Experiment = Field()
    collection: _FinishedCollection = Field()
    created: str = Field()
    scores: dict[str, _Score] = Field()


def check_record(record: Any, finished: bool = False) -> None:
    """Check what was read from a run.json.

    Args:
        record: JSON value.
        finished: Whether everything that a finished run has must be there.

    Raises:
        CorruptDataError: something is missing or of another type; the sentence names the first such place, and what to
            do is left to the caller.
    """
    try:
        (_Finished if finished else _Record).model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the record"
        raise CorruptDataError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
