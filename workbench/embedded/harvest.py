"""Collect the documentation strings of modules, run as a script in an interpreter of its own.

Of its own, because libraries patch the standard library when they are imported (torch replaces `inspect.getfile`,
transformers adds methods to `logging.Logger`), and the documents must not depend on what was imported before; and
because two hundred imported modules are nothing that a person's process should carry. So this file imports nothing of
the project. It reads {"modules", "classes", "path"} as JSON from standard input and writes what it found as JSON.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose file names must not hide those of the standard library

import contextlib
import importlib
import inspect
import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LISTED = 16


def harvest(modules: list[str], classes: list[str]) -> dict[str, list[dict[str, str]]]:
    """Collect documentation strings, each thing once under its best name, each text once.

    Args:
        modules: names of the modules to import; those that this platform does not have are passed over.
        classes: dotted names of the classes whose methods are wanted.

    Returns:
        "things", records of "name", "docstring" and "details" (what an object tells without a docstring), sorted by
        name; "homes", the same for every module and every one of `classes`.
    """
    by_identity: dict[int, tuple[str, object]] = {}
    for name, thing in _public_things(modules, set(classes)):
        _keep_best(by_identity, id(thing), name, thing)
    by_docstring: dict[str, tuple[str, object]] = {}
    for name, thing in by_identity.values():
        if docstring := _own_docstring(thing):
            _keep_best(by_docstring, docstring, name, thing)
    things = [_record(name, thing) for name, thing in by_docstring.values()]
    wanted = {*modules, *classes}
    homes = [_record(name, thing) for name, thing in by_identity.values() if name in wanted]
    return {"things": sorted(things, key=lambda record: record["name"]), "homes": homes}


def _keep_best(kept: dict[Any, tuple[str, object]], key: object, name: str, thing: object) -> None:
    if key not in kept or _preference(name, thing) < _preference(*kept[key]):
        kept[key] = (name, thing)


def _preference(name: str, thing: object) -> tuple[bool, int, int, str]:
    """Order several names of one thing: its own name before an alias, then few dots, short, alphabetical."""
    own_name = str(getattr(thing, "__name__", name))
    return (own_name.rpartition(".")[2] != name.rpartition(".")[2], name.count("."), len(name), name)


def _public_things(modules: list[str], classes: set[str]) -> Iterator[tuple[str, object]]:
    for module_name in modules:
        try:
            module = importlib.import_module(module_name)
        except (ImportError, OSError):
            continue
        prefix = "" if module_name == "builtins" else module_name + "."
        yield module_name, module
        for name in _public_names(module):
            thing = getattr(module, name, None)
            if callable(thing):
                yield prefix + name, thing
                if prefix + name in classes:
                    yield from _methods(prefix + name, thing)


def _methods(class_name: str, owner: object) -> Iterator[tuple[str, object]]:
    for name in dir(owner):
        method = getattr(owner, name, None)
        if not name.startswith("_") and callable(method) and not isinstance(method, type):
            yield f"{class_name}.{name}", getattr(method, "__func__", method)


def _public_names(module: ModuleType) -> list[str]:
    """Names in `__all__`, and without one those that the module defines itself (not what it imports)."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return sorted({name for name in exported if not name.startswith("_") or name.endswith("__")})
    home = {module.__name__, "_" + module.__name__}
    if module.__name__ == "builtins":
        home |= {"io", "_io"}  # where `open` says it is from
    return sorted(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) in home
    )


def _own_docstring(thing: object) -> str:
    docstring = getattr(thing, "__doc__", None)
    if isinstance(thing, type) and not docstring:  # some classes, ThreadPoolExecutor for one, document how they start
        docstring = getattr(vars(thing).get("__init__"), "__doc__", None)
        return docstring if isinstance(docstring, str) and docstring != object.__init__.__doc__ else ""
    if not isinstance(docstring, str):
        return ""
    if not isinstance(thing, type) and docstring == type(thing).__doc__:  # an instance: the text is its class's
        return ""
    return docstring


def _record(name: str, thing: object) -> dict[str, str]:
    return {"name": name, "docstring": _own_docstring(thing), "details": _details(thing)}


def _details(thing: object) -> str:
    """What a module defines, what an exception is a kind of, which methods a class has, what a function takes."""
    if isinstance(thing, ModuleType):
        return _listed("Defines", _public_names(thing))
    if isinstance(thing, type):
        kind = f"A kind of {thing.__base__.__name__}. " if thing.__base__ not in (None, object) else ""
        return (kind + _listed("Methods:", [key for key in vars(thing) if not key.startswith("_")])).strip()
    try:
        parameters = list(inspect.signature(thing).parameters)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return ""
    return _listed("Arguments:", [parameter for parameter in parameters if parameter != "self"])


def _listed(label: str, names: list[str]) -> str:
    return f"{label} {', '.join(names[:MOST_LISTED])}." if names else ""


if __name__ == "__main__":
    request = json.load(sys.stdin)
    sys.path.append(request["path"])
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints on import is no part of the answer
        found = harvest(request["modules"], request["classes"])
    json.dump(found, sys.stdout)
