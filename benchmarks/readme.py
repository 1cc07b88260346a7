"""Regenerate what the README shows: the demo's table, a search, the pictures. Run: `make pictures`.

The tree of files is a page of the documentation, which `make docs` takes from here.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
LAYERS = ("engine", "workbench", "apps")
SKIPPED = ("__init__.py", "__main__.py")


def output_of(*arguments: str) -> str:
    """What a `workbench` command prints, in a terminal of 100 columns."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "workbench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def purpose(path: Path) -> str:
    """First line of a module's docstring, without its period."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].rstrip(".") if text else ""


def tree() -> str:
    """Every module with its purpose, packages first named by their own docstring."""
    lines = []
    for layer in LAYERS:
        for folder in [ROOT / layer, *sorted(path for path in (ROOT / layer).rglob("*") if path.is_dir())]:
            if not (folder / "__init__.py").exists():
                continue
            depth = len(folder.relative_to(ROOT).parts) - 1
            lines.append(_line(depth, f"{folder.name}/", purpose(folder / "__init__.py")))
            lines += [
                _line(depth + 1, path.name, purpose(path))
                for path in sorted(folder.glob("*.py"))
                if path.name not in SKIPPED
            ]
    return "\n".join(lines)


def _line(depth: int, name: str, what: str) -> str:
    return f"{'  ' * depth + name:<28} {what}".rstrip()


def replace(text: str, marker: str, content: str) -> str:
    """Put content between `<!-- marker -->` and `<!-- /marker -->`, as a block of plain text."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no marker {marker!r}")
    return pattern.sub(lambda found: f"{found[1]}```\n{content}\n```\n{found[2]}", text)


def main() -> None:
    """Run the commands, write the README, take the screenshots."""
    text = README.read_text(encoding="utf-8")
    text = replace(text, "demo", output_of("demo", "--table-only"))
    text = replace(text, "search", output_of("search", "remove spaces at both ends of a string", "--k", "3"))
    README.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "apps.screenshots"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
