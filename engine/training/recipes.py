"""Recipes: settings in YAML files, checked like any others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import InputError, NotFoundError
from engine.shipped import shipped
from engine.training.settings import TrainSettings
from engine.typed import number_or_same

FOLDER = shipped("assets") / "recipes"


def recipes() -> dict[str, str]:
    """Names of the recipes that come with the project, and what each is for."""
    return {path.stem: str(_read(path).get("about", "")) for path in sorted(FOLDER.glob("*.yaml"))}


def load_recipe(name: str | Path, **changes: Any) -> TrainSettings:
    """Read a recipe.

    Args:
        name: One of `recipes()`, or a YAML file.
        changes: Settings that replace those of the recipe.

    Returns:
        The settings.

    Raises:
        NotFoundError: no such recipe.
        InputError: it is no YAML mapping, or a setting makes no sense.
    """
    return TrainSettings.from_dict({**recipe_values(name), **changes})


def recipe_values(name: str | Path) -> dict[str, Any]:
    """The settings that a recipe names, and only those.

    Args:
        name: One of `recipes()`, or a YAML file.

    Returns:
        Setting -> value.

    Raises:
        NotFoundError: no such recipe.
        InputError: it is no YAML mapping.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise NotFoundError(f"There is no recipe {str(name)!r}: choose among {', '.join(recipes())}, or give a file.")
    values = _read(path)
    values.pop("about", None)
    return values


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML ({str(error).splitlines()[0]}): correct it.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no mapping of settings: write one setting a line.")
    return {name: number_or_same(value) for name, value in values.items()}
