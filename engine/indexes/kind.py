"""What a kind of index says of itself before there is one: settings, abilities, packages, and how its search is tuned.

Everything that commands, pages and measurements need to know of a kind stands on its class, so that a new kind is one
file and one registration; see `engine.indexes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.errors import UnsupportedError
from engine.indexes import checks
from engine.indexes.checks import ABILITIES, Settings


class Kind:
    """The facts of a kind. A backend sets `kind`; the rest has values that fit a kind without settings.

    Attributes:
        kind: Its name, the one under which it is registered.
        settings_class: A frozen dataclass with defaults, checked in `__post_init__`.
        can: Names of `ABILITIES`.
        search_settings: Settings that may differ from search to search; see `Index.tuned`.
        packages: Distributions whose version can change its numbers; records and `doctor` name them.
        compared: Settings with which a comparison takes it in where nobody names indexes; None leaves it out.
        traced: Whether a trace shows stages of its own, beside the place of a document among the results.
    """

    kind: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    can: ClassVar[frozenset[str]] = frozenset(ABILITIES) - {"empty-documents"}
    search_settings: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[Mapping[str, Any] | None] = None
    traced: ClassVar[bool] = True

    @classmethod
    def made_with(cls, settings: Mapping[str, Any]) -> type[Kind]:
        """The class for these settings: this one, but where a setting names another kind that holds the vectors.

        Raises:
            InputError: there is no such kind, or it cannot be held.
        """
        return cls

    @classmethod
    def able(cls, settings: Any) -> frozenset[str]:
        """What an index can do with these settings, an object of `settings_class`: `can`, or less."""
        return cls.can

    @classmethod
    def parse_settings(cls, settings: Mapping[str, Any]) -> Any:
        """Check settings by name and value.

        Args:
            settings: Name -> value; those left out get their defaults.

        Returns:
            An object of `settings_class`.

        Raises:
            InputError: an unknown name; the sentence lists the known ones.
        """
        return checks.settings(cls.kind, cls.settings_class, settings)

    @classmethod
    def check_installed(cls) -> None:
        """Raise MissingExtraError when a package that this kind needs is absent or of the wrong version."""

    @classmethod
    def check_can(cls, ability: str) -> None:
        """Raise UnsupportedError unless the kind has an ability, one of `ABILITIES`."""
        if ability not in cls.can:
            raise UnsupportedError(
                f"Index kind {cls.kind!r} has not the ability {ability!r}: it has {', '.join(sorted(cls.can))}."
            )

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """Defaults of the library that this kind stands on, by name: a change between two records explains a number."""
        return {}

    @classmethod
    def ladder(cls, settings: Any) -> tuple[dict[str, Any], ...]:
        """Search settings on the way to a recall or a quality, cheapest first.

        Args:
            settings: An object of `settings_class`, as the index is built.

        Returns:
            Settings among `search_settings`, a rung each; none where the search cannot be tuned.
        """
        return ()

    @classmethod
    def remedy(cls, setting: str) -> str:
        """What wins back a document that a stage of the search cut.

        Args:
            setting: The one that bounds the stage; see `engine.indexes.trace.Stage`.

        Returns:
            Words that follow "To win it back:".
        """
        return f"raise {setting}"
