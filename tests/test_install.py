"""What a stranger gets: the wheel from the source distribution, in an environment and a folder of its own.

`make test-install` runs it. Packages come from the lock's versions, through uv's cache where it has them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UV = (sys.executable, "-m", "uv")
DATA = ("engine/assets/head/model.safetensors", "engine/assets/embedded/questions.jsonl", "apps/static/base.css")
TOP = {"engine", "workbench", "apps"}  # what lands beside other people's packages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def done(*command: object, **options: object) -> str:
    """What a command prints; its errors are the message of a failure."""
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert run.returncode == 0, f"{command}\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
    assert "Warning:" not in run.stderr, run.stderr[-3000:]  # of a library, which says nothing to a stranger
    return run.stdout


class Installed:
    """An environment with the wheel in it, used from a folder that is no clone."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.wheel, self.python = folder, wheel, folder / "venv" / "bin" / "python"
        kept = ("HOME", "PATH", "LANG", "UV_CACHE_DIR", "SSL_CERT_FILE")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= {"WORKBENCH_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
        done(*UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        pinned = re.findall(
            r"^([A-Za-z0-9._-]+(?:\[[a-z,]+\])?==[^\\\n]+?)\s*\\?$", (ROOT / "requirements.lock").read_text(), re.M
        )
        assert len(pinned) > 50
        (folder / "versions.txt").write_text("\n".join(pinned))

    def install(self, extras: str = "") -> None:
        """Install the wheel with some extras, in the versions of the lock."""
        wanted = f"late-interaction-workbench{extras} @ {self.wheel.as_uri()}"
        versions = self.folder / "versions.txt"
        done(*UV, "pip", "install", "--quiet", "--python", self.python, "--constraint", versions, wanted)

    def run(self, *arguments: object) -> str:
        """What this Python prints."""
        return done(self.python, *arguments, cwd=self.folder / "elsewhere", env=self.environment)

    def workbench(self, *arguments: object) -> str:
        """What the command prints."""
        command = self.python.with_name("workbench")
        return done(command, *arguments, cwd=self.folder / "elsewhere", env=self.environment)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Source distribution, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    done(*UV, "build", "--quiet", "--python", sys.executable, "-o", folder, ROOT)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "elsewhere").mkdir()
    here = Installed(folder, built[1])
    here.install()
    return here


def test_wheel_and_source_hold_what_runs_and_nothing_that_clashes(built: tuple[Path, Path]) -> None:
    source, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tutorials = [f"workbench/notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    components = [
        f"apps/components/{path.name}" for path in sorted((ROOT / "apps/components").iterdir()) if path.suffix
    ]
    assert len(tutorials) >= 10
    assert not {*DATA, *tutorials, *components} - set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == TOP
    with tarfile.open(source) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"assets/head/model.safetensors", "pyproject.toml", "tests/conftest.py", "LICENSE"} <= inside
    assert not [name for name in inside if name.startswith((".venv", "node_modules", "site/"))]


def test_the_core_searches_without_any_extra(installed: Installed) -> None:
    names = ("gradio", "streamlit", "jupyterlab", "peft")
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert installed.run("-c", code).strip() == "[]"
    code = (
        "from engine import Encoder, create_index, load_collection, maxsim, pool\n"
        "import engine; assert 'site-packages' in engine.__file__, engine.__file__\n"
        "encoder = Encoder.load('embedded')\n"
        "docs = pool(encoder.encode_document(['sort a list', 'open a file', 'join strings']), factor=2)\n"
        "index = create_index('plaid', 'my-index'); index.add(['sort', 'open', 'join'], docs)\n"
        "print(index.search(encoder.encode_query(['read a file']), k=1)[0].ids)"
    )
    assert installed.run("-c", code).strip() == "['open']"
    found = json.loads(installed.workbench("search", "remove spaces at both ends of a string", "--k", "3", "--json"))
    assert found["hits"][0]["id"].startswith("str.")
    run = subprocess.run(
        [installed.python.with_name("workbench"), "ui"], capture_output=True, text=True, check=False,
        cwd=installed.folder / "elsewhere", env=installed.environment,
    )  # fmt: skip
    assert run.returncode == 2
    assert "late-interaction-workbench[apps]" in run.stderr


def test_tutorials_and_recipes_come_along(installed: Installed) -> None:
    listed = json.loads(installed.workbench("notebooks", "--json"))["notebooks"]
    assert [entry["name"] for entry in listed] == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert all(entry["title"] for entry in listed)
    names = installed.run("-c", "from engine.training import recipes; print(sorted(recipes()))")
    assert "gradcache" in names
    probed = json.loads(installed.workbench("probe", "--json"))  # the minimal pairs
    assert probed


def test_the_demo_and_the_pages_answer(installed: Installed) -> None:
    table = json.loads(installed.workbench("demo", "--table-only", "--json"))
    assert len(table["rows"]) == 4
    assert min(row["ndcg"] for row in table["rows"]) > 0.5
    installed.install("[apps]")
    command = [installed.python.with_name("workbench"), "ui", "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=installed.folder / "elsewhere", env=installed.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "answers at" in line:
                break
        found = re.search(r"http://\S+", said[-1]) if said else None
        assert found, "".join(said)
        with urllib.request.urlopen(found.group(), timeout=60) as answer:
            assert "gradio" in answer.read().decode().lower()
    finally:
        process.terminate()
        process.wait(30)


def test_an_editable_install_is_the_clone(tmp_path: Path) -> None:
    done(*UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    done(*UV, "pip", "install", "--quiet", "--python", python, "--no-deps", "-e", ROOT)
    code = (
        "import engine.errors, engine.shipped, apps.registry; print(engine.errors.__file__); "
        "print(engine.shipped.shipped('assets')); print(engine.shipped.shipped('notebooks', 'workbench'))"
    )
    quiet = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path)}
    lines = done(python, "-c", code, cwd=tmp_path, env=quiet).split()
    assert lines == [str(ROOT / "engine/errors.py"), str(ROOT / "assets"), str(ROOT / "notebooks")]
