"""How large the core and each extra are, by what is installed here. Writes docs/install.md and a line of README.md.

Run: `python -m benchmarks.install_sizes`, in the environment of the lock. Nothing is downloaded.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "install.md")
USUAL = ("apps", "files", "systems", "notebooks", "train", "serve", "publish", "benchmarks")  # in README.md
PROJECT = "late-interaction-workbench"
TORCH = re.compile(r"nvidia-|cuda-|triton$")  # what the CUDA build of torch brings along
ABOUT = {
    "apps": "the browser pages and the dashboard",
    "notebooks": "JupyterLab and the widgets",
    "train": "fine-tuning, LoRA, ONNX, searches of settings",
    "serve": "HTTP for programs",
    "mcp": "the Model Context Protocol for language models",
    "publish": "sites with no server",
    "plugs": "rerankers, LangChain and LlamaIndex",
    "cluster": "Ray: more than one machine",
    "files": "PDF, HTML and Word files",
    "hub": "collections by name",
    "figures": "figures as SVG and PNG",
    "systems": "BM25",
    "fast-plaid": "the peer's PLAID, which needs torch 2.11.0",
    "peers": "LanceDB, Qdrant, WARP and others to compare with",
    "gpu": "fused kernels for CUDA",
    "benchmarks": "benchmarks by name",
    "lancedb": "one of the peers",
    "qdrant": "one of the peers",
    "xtr-warp": "one of the peers",
    "docs": "this site",
    "dev": "tests and linters",
}


def size(of: Distribution) -> int:
    """Bytes of the files of an installed package."""
    paths = (Path(str(entry.locate())) for entry in of.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def closure(
    wanted: list[Requirement], extras: frozenset[str] = frozenset()
) -> tuple[dict[str, Distribution], set[str]]:
    """Everything that some requirements bring along, by name; and what of it is not installed here."""
    found: dict[str, Distribution] = {}
    missing: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(entry, extras) for entry in wanted]
    while waiting:
        entry, around = waiting.pop()
        if entry.marker and not any(entry.marker.evaluate({"extra": extra}) for extra in (*around, "")):
            continue
        name, own = canonicalize_name(entry.name), frozenset(entry.extras)
        if (name, own) in seen:
            continue
        seen.add((name, own))
        try:
            there = distribution(name)
        except PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = there
        waiting += [(Requirement(text), own) for text in there.requires or ()]
    return found, missing


def table() -> str:
    """Markdown: the core, and what each extra adds to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    core, _ = closure([Requirement(text) for text in project["dependencies"]])
    cuda = {name for name in core if TORCH.match(name)}

    def megabytes(names: set[str], of: dict[str, Distribution]) -> str:
        return f"{sum(size(of[name]) for name in names) / 1e6:,.0f} MB"

    lines = ["| | what for | packages | size |", "| --- | --- | --- | --- |"]
    lines.append(
        f"| core | searches, measures, explains | {len(core) - len(cuda)} | {megabytes(core.keys() - cuda, core)} |"
    )
    if cuda:
        lines.append(f"| CUDA, on Linux | comes with torch's usual build | {len(cuda)} | {megabytes(cuda, core)} |")
    for extra in sorted(extras.keys() - {"all"}, key=[*ABOUT, *extras].index):
        about = ABOUT.get(extra, "")
        texts = [text for text in extras[extra] if not text.startswith(PROJECT)]
        own = [name for text in extras[extra] if text.startswith(PROJECT) for name in Requirement(text).extras]
        added, missing = closure(
            [Requirement(text) for text in texts + [each for name in own for each in extras[name]]]
        )
        names = added.keys() - core.keys()
        absent = f", without {', '.join(sorted(missing))}" if missing else ""
        lines.append(f"| `[{extra}]` | {about} | {len(names)} | {megabytes(set(names), added)}{absent} |")
    return "\n".join(lines)


def line(made: str) -> str:
    """The sizes of what most people install, as a sentence, from the table."""
    rows = {
        cells[1].strip("`[]"): cells[4]
        for cells in ([cell.strip() for cell in row.split("|")] for row in made.splitlines())
    }
    parts = [f"`[{extra}]` {rows[extra]}" for extra in USUAL if extra in rows]
    cuda = f", and CUDA on Linux {rows['CUDA, on Linux']}" if "CUDA, on Linux" in rows else ""
    return f"The core takes {rows['core']}{cuda}; each extra adds to it: {', '.join(parts)}."


def main() -> None:
    """Write the table and the sentence."""
    made = table()
    print(made)
    pattern = re.compile(r"(<!-- sizes: generated, do not edit -->\n\n).*?(\n\n<!-- end of sizes -->)", re.DOTALL)
    for page, content in zip(PAGES, (line(made), made), strict=True):
        text = page.read_text(encoding="utf-8")
        if not pattern.search(text):
            raise SystemExit(f"{page} has no place for the sizes")
        page.write_text(
            pattern.sub(lambda found, content=content: f"{found[1]}{content}{found[2]}", text), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
