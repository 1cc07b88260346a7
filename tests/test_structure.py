"""The layers import one way, and the repository holds nothing that it must not."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {"engine": {"engine"}, "workbench": {"engine", "workbench"}, "apps": {"engine", "workbench", "apps"}}
LAYERS = {"engine", "workbench", "apps", "notebooks"}
INTERFACES = {"gradio", "streamlit", "ipywidgets", "anywidget", "plotly", "typer", "rich"}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_imports_point_one_way(layer: str) -> None:
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    wrong = {str(path): imported(path) & (LAYERS - ALLOWED[layer]) for path in files}
    assert not {path: names for path, names in wrong.items() if names}


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of the layers below a folder."""
    paths = [path for layer in ALLOWED for path in (root / layer).rglob("*.py")]
    parts = {path: path.relative_to(root).with_suffix("").parts for path in paths}
    return {".".join(names[:-1] if names[-1] == "__init__" else names): path for path, names in parts.items()}


def arrows(name: str, known: dict[str, Path]) -> set[str]:
    """The modules that one imports, in its functions too: all but what only type checkers read."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(known[name].read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            around = name.split(".")[: len(name.split(".")) - node.level + (known[name].stem == "__init__")]
            base = ".".join([*(around if node.level else []), *([node.module] if node.module else [])])
            names = (f"{base}.{alias.name}" for alias in node.names)
            found |= {module if module in known else base for module in names}
    return (found & known.keys()) - {name}


def circle(root: Path) -> list[str]:
    """Modules that import each other in turn, the last being the first again; nothing where there is no circle."""
    known = modules(root)
    try:
        TopologicalSorter({name: arrows(name, known) for name in known}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(ROOT) == []


@pytest.mark.parametrize(
    "back",
    ["from engine import a", "from . import a", "import engine.a", "def late():\n    from .a import name"],
)
def test_a_circle_is_found_wherever_its_import_stands(tmp_path: Path, back: str) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("import engine.b")
    (folder / "b.py").write_text("import engine.c as c")
    (folder / "c.py").write_text(f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {back.splitlines()[-1]}\n")
    assert circle(tmp_path) == []
    (folder / "c.py").write_text(back)
    assert sorted(set(circle(tmp_path))) == ["engine.a", "engine.b", "engine.c"]


def test_the_engine_knows_no_user_interface() -> None:
    wrong = {str(path): imported(path) & INTERFACES for path in (ROOT / "engine").rglob("*.py")}
    assert not {path: names for path, names in wrong.items() if names}


@pytest.mark.parametrize("folder", ["engine", "workbench", "apps"])
def test_what_is_shipped_is_found_where_a_wheel_puts_it(folder: str) -> None:
    """Once installed, the folder above a package is that of other people: `shipped` knows both."""
    paths = {path for path in (ROOT / folder).rglob("*.py") if path != ROOT / "engine" / "shipped.py"}
    joined = re.compile(r"""/\s*["'](assets|notebooks)["']""")
    assert not [str(path) for path in paths if joined.search(path.read_text(encoding="utf-8"))]


def test_importing_the_engine_is_cheap() -> None:
    code = "import engine, sys; print([m for m in ('torch', 'transformers', 'ranx', 'voyager') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "[]"


def test_the_lock_holds_names_versions_and_hashes_only() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "torch==" in lock
    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://|file:|--index|--find-links", lock)


def test_the_lock_of_the_development_tools_holds_no_addresses_of_registries() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in entry and entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_the_fixed_names_are_functions_whatever_was_imported_before() -> None:
    code = (
        "import engine.maxsim.reference, workbench.experiments.sweep, workbench.experiments.views.comparison\n"
        "from engine import Encoder, TokenEmbeddings, Collection, load_collection, maxsim, pool, create_index\n"
        "from engine import open_index, rerank, evaluate, explain\n"
        "from workbench import Experiment, run, sweep, compare, runs, figures\n"
        "assert all(map(callable, (maxsim, pool, explain, evaluate, run, sweep, compare, figures.frontier, runs.find)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_import_of_the_core_is_declared() -> None:
    declared = (ROOT / "pyproject.toml").read_text().lower().replace("_", "-")
    known = {"yaml": "pyyaml", "PIL": "pillow"}  # import -> package
    names = set().union(*(imported(path) for layer in ALLOWED for path in (ROOT / layer).rglob("*.py")))
    foreign = {name.replace("_", "-") for name in names - LAYERS - set(sys.stdlib_module_names)}
    missing = [name for name in sorted(foreign) if f'"{known.get(name, name)}' not in declared]
    assert not missing
