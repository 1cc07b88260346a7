"""Every notebook runs from top to bottom with no network; the assertions are inside."""

from __future__ import annotations

import ast
import contextlib
import importlib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
QUICK = ("01_",)  # part of `make test`; `make test-notebooks` runs all


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all notebooks, so that they share embeddings as they do for a person."""
    return tmp_path_factory.mktemp("home")


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name.startswith(QUICK) else pytest.mark.slow) for name in NOTEBOOKS]
)
def test_runs_from_top_to_bottom(name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_FAST", "1")
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    NotebookClient(read(name), timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_committed_without_outputs(name: str) -> None:
    for cell in read(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.source
            assert cell.execution_count is None
        assert not cell.metadata, cell.metadata


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_is_python(name: str) -> None:
    for cell in read(name).cells:
        if cell.cell_type == "code":
            compile(cell.source, name, "exec")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_it_imports_of_this_project_is_there(name: str) -> None:
    code = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")
    ours = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("engine", "workbench")
        for alias in node.names
    ]
    assert ours
    absent = []
    for module, attribute in ours:
        if not hasattr(importlib.import_module(str(module)), attribute):
            with contextlib.suppress(ModuleNotFoundError):  # a module is no attribute before it is imported
                importlib.import_module(f"{module}.{attribute}")
                continue
            absent.append((module, attribute))
    assert absent == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_says_what_is_learned_and_has_exercises_with_answers(name: str) -> None:
    texts = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    assert "**You will learn**" in texts[0]
    assert any("<details>" in text for text in texts)
    code = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")
    assert "assert " in code
    assert "export_html" in code
