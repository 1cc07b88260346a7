"""What the documentation says is there: commands, options, names, files; and what becomes of pages on their way."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from dataclasses import fields
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import yaml

import engine
import engine.training
import workbench
from benchmarks import install_sizes
from benchmarks.embedded_head.fit_head import HeadSettings
from docs.tools import hooks, notebooks, places, reference
from docs.tools.commands import commands, page
from engine import Encoder
from engine.errors import WorkbenchError
from workbench.cli.sharing import worded

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALL = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "benchmarks").glob("**/*.md"), *(ROOT / "assets").glob("**/*.md")]
BLOCK = re.compile(r"^```[^\n`]*\n(.*?)^```$", re.M | re.S)
KNOWN = dict(commands())
REFUSAL: Any = typer.BadParameter.__mro__[1]  # of the parser, which typer names nowhere
GROUPS = {name.split()[0] for name in KNOWN if " " in name}


@pytest.fixture(scope="module")
def generated() -> set[str]:
    return {*places.generated(), *reference.pages(), "reference/commands.md"}


def source_of(module: str) -> str | None:
    """Text of what `python -m` runs; None where there is no such file. Nothing is imported: some pages take seconds."""
    place = ROOT.joinpath(*module.split("."))
    there = [path for path in (place.with_suffix(".py"), place / "__main__.py") if path.is_file()]
    return there[0].read_text(encoding="utf-8") if there else None


def wrong_in(text: str) -> list[str]:
    """Lines in the blocks of a page that the command's own parser refuses, and why."""
    found = []
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            start = re.search(r"^(?:\$ )?(?:\w+=\S+ )*workbench\s+", line)
            if not start:
                continue
            typed = shlex.split(line[start.end() :], comments=True)
            words = worded(list(takewhile(lambda word: word not in ("&&", "|", ">"), typed)))
            name = " ".join(words[:2]) if words[0] in GROUPS and " ".join(words[:2]) in KNOWN else words[0]
            if name in GROUPS and len(words) == 1:
                continue  # `workbench runs` alone lists
            if name not in KNOWN:
                found.append(f"{line}: no such command")
                continue
            try:
                KNOWN[name].make_context(name, words[len(name.split()) :])
            except typer.Exit:
                pass  # --help
            except WorkbenchError as error:
                found.append(f"{line}: {error}")
            except REFUSAL as error:
                told = error.format_message()
                if "does not exist" not in told:  # files of a reader's own
                    found.append(f"{line}: {told}")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_in_blocks_exist(path: Path) -> None:
    assert wrong_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_in_sentences_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m ((?:benchmarks|workbench|apps|docs)\.[\w.]+)", text))
    assert [name for name in modules if source_of(name) is None] == []
    options = {name: {option for entry in command.params for option in entry.opts} for name, command in KNOWN.items()}
    known = {"--help", "--torch-backend"}.union(*options.values())  # the second is uv's
    known |= {f"--{entry.name.replace('_', '-')}" for entry in fields(HeadSettings)}  # of the tool that makes the head
    for name in modules:
        known |= set(re.findall(r'"(--[a-z][\w-]*)"', source_of(name) or ""))
    wrong = []
    for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        words = [word.split("=")[0].split("/")[0] for word in code.split()]
        if words[0] == "workbench" and len(words) > 1 and words[1][0].islower() and words[1] not in GROUPS:
            own = options.get(words[1])
            wrong += [code] if own is None or any(word.startswith("--") and word not in own for word in words) else []
        elif words[0].startswith("--") and words[0] not in known:
            wrong.append(code)
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_blocks_compiles_and_imports_what_is_there(path: Path) -> None:
    for block in re.findall(r"^```python[^\n]*\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
                "engine",
                "workbench",
                "apps",
            ):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}"), ast.unparse(node)


def test_the_program_of_the_first_page_prints_what_its_comment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], embedded_encoder: Encoder
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/start.md").read_text("utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Encoder, "load", {"embedded": embedded_encoder}.__getitem__)  # loaded once for all tests
    exec(compile(block, "start.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"# (\[.*\])$", block, re.M)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pictures_that_a_page_shows_are_there(path: Path) -> None:
    shown = re.findall(r'(?:src|srcset)="([^"]+)"|!\[[^\]]*\]\(([^)\s]+)\)', path.read_text(encoding="utf-8"))
    here = [name for pair in shown for name in pair if name and "//" not in name]
    assert [name for name in here if not (path.parent / name).is_file()] == []


def test_the_readme_has_the_sizes_of_the_page_on_installing() -> None:
    made = "\n".join(row for row in (ROOT / "docs" / "install.md").read_text("utf-8").splitlines() if row[:2] == "| ")
    assert install_sizes.line(made) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_picture_is_on_a_page() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg")]
    assert len(pictures) > 50
    shown = {Path(name).name for name in re.findall(r"[\w/.-]+\.(?:png|svg)", text)}
    assert [str(path.relative_to(ROOT)) for path in pictures if path.name not in shown] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_begins_with_a_sentence_on_what_it_is_for(path: Path) -> None:
    title, begin = path.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert not begin.startswith(("#", "|", "`" * 3, "<", "!", "- ")), begin
    assert len(begin) > 60, begin


def test_one_version_stands_everywhere() -> None:
    def found(name: str, pattern: str) -> str:
        match = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
        assert match, name
        return match[1]

    version = found("pyproject.toml", r'^version = "([\d.]+)"$')
    assert found("CITATION.cff", r"^version: ([\d.]+)$") == version
    assert found("CHANGELOG.md", r"^## ([\d.]+)") == version
    assert found("docs/install.md", r"late_interaction_workbench-([\d.]+)-py3") == version


def test_what_make_runs_is_there() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    modules = {name for name in re.findall(r"python -m ([\w.]+)", text) if (ROOT / name.split(".")[0]).is_dir()}
    assert {"docs.tools", "benchmarks.readme"} <= modules
    assert all(source_of(name) for name in modules)
    folders = {name for name in re.findall(r"-m pytest ([\w/.]+)", text) if name != "tests"}
    assert all((ROOT / name).exists() for name in folders)
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", text, re.M))
    assert set(re.findall(r"`make ([a-z][a-z0-9-]*)[` ]", pages)) - targets - {"lint", "test", "docs"} == set()


def test_a_command_that_is_not_there_is_found() -> None:
    lines = (
        "workbench serch x",
        "A=1 workbench search x --nothing 3 \\\n  --k 3",
        "workbench runs show R --jsn",
        "$ workbench search x --k many | head",
        "workbench runs show one two",
        "workbench encode here there --ray 10.0.0.7:6379  # right",
        "workbench runs",
    )
    found = [entry.split(": ", 1)[1] for entry in wrong_in("```\n" + "\n".join(lines) + "\n```\n")]
    reasons = ("no such command", "No such option: --nothing", "No such option: --jsn", "valid integer", "(two)")
    assert len(found) == len(reasons)
    assert all(reason in told for reason, told in zip(reasons, found, strict=True))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path, generated: set[str]) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    targets = [target.partition("#")[0] for _, target in places.LINK.findall(text) if "://" not in target]
    absent = []
    for target in filter(None, targets):
        there = (path.parent / target).resolve()
        page = str(there.relative_to(ROOT / "docs")) if there.is_relative_to(ROOT / "docs") else ""
        if not there.exists() and page not in generated:
            absent.append(target)
    assert absent == []


def test_every_line_of_the_contents_has_a_page_and_every_page_gets_a_line(generated: set[str]) -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]

    def listed() -> list[str]:
        return [page for section in nav for pages in section.values() for page in pages]

    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    tutorials = {f"tutorials/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")}
    there = written | tutorials | generated
    assert set(listed()) - there == set(), "lines in mkdocs.yml without a page"
    hooks.on_config(SimpleNamespace(nav=nav))
    assert len(listed()) == len(set(listed()))
    assert set(listed()) == there


def test_names_of_the_reference_exist_and_cover_what_is_public() -> None:
    names = [name for _, _, names in reference.PAGES.values() for name in names.split()]
    found = set()
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name
        found.add(name)
    for package in (engine, workbench, engine.training):
        for public in package.__all__:
            thing = getattr(package, public)
            module = getattr(thing, "__module__", None) or getattr(thing, "__name__", "")
            if callable(thing):
                assert module in found or f"{module}.{public}" in found, f"{package.__name__}.{public} is on no page"


def test_every_command_is_on_its_page_with_its_options() -> None:
    text = page()
    for name, command in KNOWN.items():
        section = text.split(f"## workbench {name}\n")[1].split("\n## ")[0]
        assert (command.help or "").split("\n")[0].split("`")[0] in section
        shown = [entry for entry in command.params if entry.name != "help" and not getattr(entry, "hidden", False)]
        options = [option for parameter in shown for option in parameter.opts]
        assert all(f"`{option}`" in section for option in options if option.startswith("--"))


def test_links_and_pictures_lead_to_pages() -> None:
    text = (
        "[a](docs/formats.md#x) [b](engine/pooling) `[c](d)` [e](https://x.org) "
        "[f](notebooks/01_maxsim_by_hand.ipynb)\n"
        '<picture><source media="(prefers-color-scheme: dark)" srcset="d.svg">'
        '<img src="l.svg" alt="A" width="9"></picture>\n'
        "```jsonl corpus.jsonl\n[g](h)\n```\n"
    )
    found = places.adapted(text, "project/changelog.md", "CHANGELOG.md")
    assert "[a](../formats.md#x) `b` `[c](d)` [e](https://x.org) [f](../tutorials/01_maxsim_by_hand.md)" in found
    assert '<img src="l.svg#only-light" alt="A" width="9"><img src="d.svg#only-dark" alt="A" width="9">' in found
    assert '```json title="corpus.jsonl"\n[g](h)\n```' in found


def notebook(*outputs: dict) -> dict:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "text"]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": list(outputs)},
    ]
    return {"cells": cells, "metadata": {"ran": "Run today."}}


def test_outputs_of_a_notebook_stand_where_they_belong() -> None:
    figure = {"data": [{"y": [1, 2], "name": "</script>"}], "layout": {"height": 300}, "config": {}}
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/html": ["<b>static</b>"], "text/plain": ["W()"]}
    tutorial = notebooks.rendered(
        notebook(
            {"output_type": "stream", "name": "stdout", "text": ["\x1b[31m1 < 2\x1b[0m\n"]},
            {"output_type": "stream", "name": "stderr", "text": ["a warning"]},
            {
                "output_type": "display_data",
                "data": {notebooks.FIGURE: figure, "text/html": ["<div>all of plotly</div>"]},
            },
            {"output_type": "execute_result", "data": widget},
            {"output_type": "display_data", "data": {"image/png": "QUJD\n", "text/plain": "P"}},
        ),
        "n",
    )
    assert "Run today." in tutorial.text
    assert tutorial.text.index("1 + 1") < tutorial.text.index("@@output-0@@") < tutorial.text.index("@@output-3@@")
    assert tutorial.outputs[0] == '<pre class="output">1 &lt; 2</pre>'
    assert "all of plotly" not in tutorial.outputs[1]
    assert "</script>" not in tutorial.outputs[1].split("<script")[1].split("</script><noscript>")[0]
    assert "<b>static</b>" in tutorial.outputs[2]
    assert 'src="data:image/png;base64,QUJD"' in tutorial.outputs[3]
    whole = notebooks.put("".join(f"<p>@@output-{number}@@</p>" for number in range(4)), tutorial.outputs)
    assert whole == "".join(tutorial.outputs)


def test_a_cell_that_failed_makes_no_page() -> None:
    with pytest.raises(ValueError, match="KeyError: 'x'"):
        notebooks.rendered(notebook({"output_type": "error", "ename": "KeyError", "evalue": "'x'"}), "n")
