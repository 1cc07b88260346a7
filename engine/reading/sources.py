"""The name of what is read, with what is chosen of it: one text for records, commands and other processes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import InputError

_CHOICE = r"(?:split|passages|qrels)=[^&?]+"
_OPTIONS = re.compile(rf"(?s)(?P<name>.+)\?(?P<options>{_CHOICE}(?:&{_CHOICE})*)")


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
        found = _OPTIONS.fullmatch(str(source))
        if found is None:
            return cls(str(source))
        parts = [part.partition("=") for part in found["options"].split("&")]
        options = {option: value for option, _, value in parts}
        if len(options) < len(parts):
            raise InputError(f"{source} names the same choice twice: keep one of them.")
        return cls(found["name"], **options)

    def __str__(self) -> str:
        chosen = {"split": self.split, "passages": self.passages, "qrels": self.qrels}
        options = "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
        return self.name + (f"?{options}" if options else "")

    def choose(self, **chosen: str | None) -> Source:
        """The same with choices that the name leaves open.

        Args:
            chosen: "split", "passages" and "qrels"; None leaves a choice as it is.

        Raises:
            InputError: the name chooses something else already, or a path cannot stand in a name.
        """
        for option, value in chosen.items():
            if value is not None and any(mark in value for mark in "&?"):
                raise InputError(f"Expected a name without & and ? as {option}, got {value!r}: rename it.")
            named = getattr(self, option)
            if value is not None and named not in (None, value):
                raise InputError(f"{self} names the {option} {named!r}, the argument {value!r}: give one of them.")
        return replace(self, **{option: value for option, value in chosen.items() if value is not None})
