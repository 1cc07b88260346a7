"""The name of what is read, with what is chosen of it: one text for records, commands and other processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine.choices import check_open, join_choices, split_choices
from engine.errors import InputError


@dataclass(frozen=True)
class Source:
    """Where a collection is, and what is chosen of it.

    Args:
        name: A folder, a file, a registered name, "irds:NAME" or "owner/name".
        split: Which judgements, or None.
        passages: How texts are cut, as `Passages` writes it, or None.
        qrels: A file of judgements that stands in place of the collection's own, or None.
    """

    name: str
    split: str | None = None
    passages: str | None = None
    qrels: str | None = None

    @classmethod
    def parse(cls, source: str | Path) -> Source:
        """Read a name such as "folder?split=dev&passages=200:40".

        Raises:
            InputError: it says one of them twice.
        """
        name, choices = split_choices(str(source), ("split", "passages", "qrels"))
        return cls(name, **choices)

    def __str__(self) -> str:
        return join_choices(self.name, {"split": self.split, "passages": self.passages, "qrels": self.qrels})

    def choose(self, **chosen: str | None) -> Source:
        """The same with choices that the name leaves open.

        Args:
            chosen: "split", "passages" and "qrels"; None leaves a choice as it is.

        Raises:
            InputError: the name chooses something else already, or a path cannot stand in a name.
        """
        for choice, value in chosen.items():
            if value is not None and any(mark in value for mark in "&?"):
                raise InputError(f"Expected a name without & and ? as {choice}, got {value!r}: rename it.")
            check_open(self, choice, getattr(self, choice), value)
        return replace(self, **{choice: value for choice, value in chosen.items() if value is not None})
