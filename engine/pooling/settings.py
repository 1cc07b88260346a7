"""What pooling keeps, a factor or a budget: one frozen value, and one text for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

from engine.checks import changed_fields, meant, require_whole
from engine.errors import InputError

Method = Literal["hierarchical", "sequential"]
METHODS: tuple[Method, ...] = ("hierarchical", "sequential")
IMPORTANCES = ("rarity", "model")
ALL_IN_ONE = ("inf", "one", ".inf")  # how an infinite factor is written


@dataclass(frozen=True)
class PoolSettings:
    """How the vectors of a document are made fewer: some are dropped, then those that are left merge.

    Args:
        factor: Tokens per remaining vector, 1 or more, fractions allowed; 1 keeps all, infinity merges all into one.
        tokens: Vectors of a document at most, protected and added ones counted: clusters merge until so few are left.
            It holds beside a factor or a distance too.
        distance: No clusters that are further apart merge: the height of Ward's linkage, which for two single tokens is
            1 minus their cosine. Alone, all that are nearer merge; beside a factor, the one that keeps more decides.
        importance: Share of a text's tokens that stay, above 0 and up to 1, the most important ones first; the rest is
            dropped before anything merges.
        by: What importance is: "rarity" in the collection, or what the "model" gives.
        once: Of each word piece of a document the first vector stays, and the others are dropped.
        method: How clusters are found: "hierarchical" (Ward's linkage on cosine distance) or "sequential" (runs of
            neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are.

    Raises:
        InputError: a value that cannot be, or two that do not go together.
    """

    factor: float = 1.0
    tokens: int | None = None
    distance: float | None = None
    importance: float | None = None
    by: str = "rarity"
    once: bool = False
    method: str = "hierarchical"
    protected: int = 1

    def __post_init__(self) -> None:
        _require("factor", self.factor, lambda factor: factor >= 1, "a pool factor of 1 or more", "1 keeps every token")
        require_whole("protected", self.protected, 0)
        if self.method not in METHODS:
            raise InputError(f"Unknown pooling method {self.method!r}: choose among {', '.join(METHODS)}.")
        if self.by not in IMPORTANCES:
            raise InputError(f"Unknown importance {self.by!r}: choose among {', '.join(IMPORTANCES)}.")
        if not isinstance(self.once, bool):
            raise InputError(f"Expected once as true or false, got {self.once!r}: write one of them.")
        if self.importance is not None:
            hint = "0.5 keeps half of the tokens"
            _require("importance", self.importance, lambda share: 0 < share <= 1, "a share above 0 and up to 1", hint)
        elif self.by != "rarity":
            raise InputError(f"Expected an importance beside by={self.by}, got none: add importance=0.5 for half.")
        if self.distance is not None:
            hint = "0.3 merges what is nearer"
            _require("distance", self.distance, lambda far: 0 < far < math.inf, "a distance above 0", hint)
            if self.method != "hierarchical":
                raise InputError("Expected the hierarchical method beside a distance, since runs of neighbours have "
                                 f"none, got {self.method!r}: leave one of the two out.")  # fmt: skip
        if self.tokens is not None:
            self._check_tokens(0)
        for name in ("factor", "distance", "importance"):  # so that equal settings are one text
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        if self.importance == 1:
            object.__setattr__(self, "importance", None)
            object.__setattr__(self, "by", "rarity")

    def check_added(self, added: int) -> None:
        """Refuse a budget that the vectors which nothing touches would fill alone.

        Args:
            added: Vectors that the model adds to each document, such as mean tokens.

        Raises:
            InputError: no vector would be left for the text.
        """
        if self.tokens is not None:
            self._check_tokens(added)

    def _check_tokens(self, added: int) -> None:
        tokens, least = self.tokens, self.protected + added + 1
        require_whole("tokens", tokens, 1)
        if tokens is not None and tokens < least:
            others = ((self.protected, "protected"), (added, "that the model adds"))
            kept = " and ".join(f"{count} {which}" for count, which in others if count)
            beside = f" beside {kept}" if kept else ""
            raise InputError(
                f"Expected {least} or more tokens a document, one for the text{beside}, got {tokens!r}: raise it."
            )

    @property
    def drops(self) -> bool:
        """Whether some tokens are dropped."""
        return self.once or self.importance is not None

    @property
    def merges(self) -> bool:
        """Whether some tokens may merge."""
        return self.factor != 1 or self.tokens is not None or self.distance is not None

    @property
    def keeps_all(self) -> bool:
        """Whether every vector stays as it is."""
        return not (self.drops or self.merges)

    @property
    def budget(self) -> str:
        """The text without factor, method and protected tokens, which have names of their own in an experiment."""
        return self._written({"factor", "method", "protected"})

    def __str__(self) -> str:
        """The settings that are not the defaults, as `parse_pool` reads them; "" keeps every vector."""
        return self._written(set())

    def _written(self, left_out: set[str]) -> str:
        said = {name: value for name, value in changed_fields(self).items() if name not in left_out}
        return ",".join("once" if name == "once" else f"{name}={_short(value)}" for name, value in said.items())


def parse_pool(text: str | float) -> PoolSettings:
    """Read pool settings from one word.

    Args:
        text: Such as "factor=2", "tokens=64", "distance=.3", "once", "importance=.5,by=model,factor=2" (or joined by
            "+"), a number alone, which is a factor, or "" for all vectors.

    Returns:
        The settings.

    Raises:
        InputError: an unknown name (with the closest known one), a name that comes twice, or a value that cannot be.
    """
    return PoolSettings(**pool_values(text))


def pool_values(text: str | float) -> dict[str, Any]:
    """The names and values in a text of pool settings, not yet held against each other.

    Args:
        text: See `parse_pool`.

    Returns:
        Name -> value, of those that the text names.

    Raises:
        InputError: an unknown name (with the closest known one), a name that comes twice, or a value of another type.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise InputError(f"Expected pool settings as text, got {text!r}: write tokens=64, for example.")
    values: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in str(text).replace("+", ",").split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            name, value = ("once", "true") if name == "once" else ("factor", name)
        known = [entry.name for entry in fields(PoolSettings)]
        if name not in known:
            hint = meant(name, known, f"there are {', '.join(known)}.")
            raise InputError(f"Pool settings have no {name!r}: {hint}")
        if name in values:
            raise InputError(f"{text!r} gives {name} twice: keep one of the two.")
        values[name] = _read(name, value)
    return values


def _read(name: str, value: str) -> Any:
    if name in ("method", "by"):
        return value
    if name == "once":
        if value not in ("true", "false"):
            raise InputError(f"Expected once as true or false, got {value!r}: write one of them.")
        return value == "true"
    try:
        if name in ("tokens", "protected"):
            return int(value)
        return math.inf if value in ALL_IN_ONE else float(value)
    except ValueError:
        whole = "a whole number" if name in ("tokens", "protected") else "a number"
        raise InputError(
            f"Expected {whole} as {name} of pooling, got {value!r}: write {name}=2, for example."
        ) from None


def _short(value: Any) -> str:
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _require(name: str, value: Any, fits: Any, expected: str, hint: str) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not fits(value):
        raise InputError(f"Expected {expected}, got {value!r} as {name}: {hint}.")


KEEP_ALL = PoolSettings()
