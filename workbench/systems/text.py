"""The text of a system, as people type it, to a frozen tree of stages, and back to the one text that records hold.

    bm25:k=1000,k1=1.2 > maxsim        a stage finds documents, the next one reranks them
    bm25 + single > maxsim             what several stages find is fused
    (bm25 + single):by=score,weights=0.3/0.7 > cross-encoder:"a/name":k=50

Options stand behind a colon, apart by commas or colons. What holds one of `+ > ( ) : ,` stands in double quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from engine.checks import changed_fields
from engine.errors import InputError
from workbench.systems.fusion import FusionOptions, read_fusion
from workbench.systems.stages import TOKENS, Stage, finders, rerankers, stage_class

TOKEN = re.compile(r'"[^"]*"|[+>()]|[^+>()"]+')
PART = re.compile(r'(?:"[^"]*"|[^":,])+')
PLAIN = re.compile(r"[^+>():,\"\s]+")
LONGEST = 2000  # characters


@dataclass(frozen=True)
class Leaf:
    """One stage.

    Args:
        name: See `stage_class`.
        options: All of them, an object of its `options_class`.
    """

    name: str
    options: Any

    @property
    def kind(self) -> type[Stage]:
        """The class of the stage."""
        return stage_class(self.name)

    def __str__(self) -> str:
        return _written(self.name, self.kind.changed(self.options), self.kind.positional)


@dataclass(frozen=True)
class Fused:
    """Several parts that search side by side.

    Args:
        parts: Two or more.
        options: How their results become one.
    """

    parts: tuple[Tree, ...]
    options: FusionOptions

    def __str__(self) -> str:
        joined, changed = " + ".join(map(_bracketed, self.parts)), changed_fields(self.options)
        return _written(f"({joined})", changed) if changed else joined


@dataclass(frozen=True)
class Reranked:
    """A part whose results a stage orders anew.

    Args:
        first: What finds them.
        by: What orders them.
    """

    first: Tree
    by: Leaf

    def __str__(self) -> str:
        return f"{self.first} > {self.by}"


Tree: TypeAlias = "Leaf | Fused | Reranked"


def _bracketed(part: Tree) -> str:
    bare = isinstance(part, Leaf) or (
        isinstance(part, Fused) and changed_fields(part.options)
    )  # which has its own brackets
    return str(part) if bare else f"({part})"


@lru_cache(maxsize=256)
def parse_system(text: str) -> Tree:
    """Read a system.

    Args:
        text: Such as "bm25:k=1000 > maxsim".

    Returns:
        Its tree; `str` of it is the one text that stands for it, without options that have their default.

    Raises:
        InputError: an unknown stage or option, a rerank without a stage in front, or text that is no system.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("Expected a system, got nothing: write one such as bm25 > maxsim.")
    if len(text) > LONGEST:
        raise InputError(f"Expected a system of at most {LONGEST} characters, got {len(text)}: shorten it.")
    reader = _Reader(text)
    tree = reader.system()
    reader.end()
    return tree


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The stages of a system in the order of its text."""
    if isinstance(tree, Leaf):
        yield tree
    elif isinstance(tree, Fused):
        for part in tree.parts:
            yield from leaves(part)
    else:
        yield from leaves(tree.first)
        yield tree.by


def late(tree: Tree) -> bool:
    """Whether a system scores token vectors somewhere."""
    return any(leaf.kind.needs == TOKENS for leaf in leaves(tree))


def fusions(tree: Tree) -> Iterator[Fused]:
    """The fusions of a system."""
    if isinstance(tree, Fused):
        yield tree
        for part in tree.parts:
            yield from fusions(part)
    elif isinstance(tree, Reranked):
        yield from fusions(tree.first)


class _Reader:
    """Reads the text from left to right: `+` binds closer than `>`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        for token in TOKEN.findall(text):
            quoted = token.startswith('"')
            if self.tokens and (quoted or self.tokens[-1][:1] not in "+>()") and token not in "+>()":
                self.tokens[-1] += token  # quotes are a part of the stage around them
            elif token.strip():
                self.tokens.append(token)
        if text.count('"') % 2:
            raise InputError(f"Expected a second quote in the system {text!r}: close it.")

    def _next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _take(self) -> str:
        return self.tokens.pop(0)

    def system(self) -> Tree:
        found = self.fused()
        while self._next() == ">":
            self._take()
            if self._next() == "(":
                raise InputError(f"Expected one stage that reranks after >, got a group in {self.text!r}: name it.")
            found = Reranked(found, self.leaf(reranks=True))
        return found

    def fused(self) -> Tree:
        parts = [self.part()]
        while self._next() == "+":
            self._take()
            parts.append(self.part())
        if len(parts) == 1:
            return parts[0]
        return Fused(_different(tuple(parts), self.text), FusionOptions())

    def part(self) -> Tree:
        if self._next() != "(":
            return self.leaf(reranks=False)
        self._take()
        found = self.system()
        if self._next() != ")":
            raise InputError(f"Expected a closing bracket in the system {self.text!r}: close it.")
        self._take()
        if not self._next().strip().startswith(":"):
            return found
        written = self._take().strip()[1:]
        if not isinstance(found, Fused):
            raise InputError(f"Options behind brackets say how a fusion works, got {written!r} behind one part: "
                             "write them at its stage.")  # fmt: skip
        return Fused(found.parts, read_fusion(_options(written, "fusion", ()), len(found.parts)))

    def leaf(self, reranks: bool) -> Leaf:
        if self._next() in ("", "+", ">", "(", ")"):
            what = "a stage that reranks" if reranks else "a stage that finds documents"
            known = rerankers() if reranks else finders()
            where = f"before {self._next()!r}" if self._next() else "at the end"
            raise InputError(f"Expected {what} {where} of the system {self.text!r}: write one of {', '.join(known)}.")
        head, _, rest = self._take().strip().partition(":")
        kind = stage_class(head.strip())
        if kind.reranks != reranks:
            if reranks:
                raise InputError(f"The stage {kind.name!r} finds documents and cannot rerank others': behind > write "
                                 f"one of {', '.join(rerankers())}.")  # fmt: skip
            raise InputError(f"The stage {kind.name!r} reranks what another one found, and there is none: write "
                             f"{finders()[0]} > {kind.name}.")  # fmt: skip
        return Leaf(kind.name, kind.read(_options(rest, kind.name, kind.positional)))

    def end(self) -> None:
        if self.tokens:
            raise InputError(f"Expected + or > before {self._next().strip()!r} in the system {self.text!r}: write it.")


def _different(parts: tuple[Tree, ...], text: str) -> tuple[Tree, ...]:
    if len(set(map(str, parts))) < len(parts):
        raise InputError(f"The system {text!r} fuses a part with itself: leave one of them out.")
    return parts


def _options(text: str, stage: str, positional: tuple[str, ...]) -> dict[str, str]:
    """Names and values, as words; words without a name are the positional options in turn."""
    found: dict[str, str] = {}
    free = list(positional)
    for part in filter(None, (part.strip() for part in PART.findall(text))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or '"' in name:
            if not free:
                raise InputError(f"Expected name=value as an option of {stage!r}, got {part!r}: write {stage}:k=100.")
            name, value = free.pop(0), part
        elif name in free:
            free.remove(name)
        if name in found:
            raise InputError(f"The stage {stage!r} is given {name} twice: keep one of the two.")
        found[name] = value.replace('"', "")
    return found


def _written(head: str, options: dict[str, Any], positional: tuple[str, ...] = ()) -> str:
    parts = [_quoted(options[name]) for name in positional if name in options]
    parts += [f"{name}={_quoted(value)}" for name, value in options.items() if name not in positional]
    return f"{head}:{','.join(parts)}" if parts else head


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if PLAIN.fullmatch(text) else f'"{text}"'
