"""What mkdocs calls while it builds the site: pages from the rest of the repository, and outputs of notebooks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs runs this file by its path

from docs.tools import commands, notebooks, places, reference  # noqa: E402

TUTORIALS = "WORKBENCH_DOCS_TUTORIALS"  # "quick", "full", or "none": pages without outputs
REST = "How it works"
_outputs: dict[str, tuple[str, ...]] = {}
_origins: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Give pages that have no line in the contents one, at the end of "How it works"."""
    listed = {page for section in config.nav for pages in section.values() for page in pages}
    more = sorted(str(path.relative_to(places.DOCS)) for path in places.DOCS.rglob("*.md"))
    section = next(section for section in config.nav if REST in section)
    section[REST] += [page for page in more if page not in listed]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that have no file in docs/."""
    from mkdocs.structure.files import File

    def add(page: str, text: str | bytes, origin: str = "") -> None:
        files.append(File.generated(config, page, content=text))
        _origins[page] = origin or f"docs/{page}"

    for page, path in places.generated().items():
        add(page, (ROOT / path).read_text(encoding="utf-8"), path)
    mode = os.environ.get(TUTORIALS, "quick")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = (
            json.loads(path.read_text(encoding="utf-8"))
            if mode == "none"
            else notebooks.executed(path, mode == "quick", lambda sentence: print(sentence, flush=True))
        )
        tutorial = notebooks.rendered(notebook, path.stem)
        page = f"tutorials/{path.stem}.md"
        add(page, tutorial.text, f"notebooks/{path.name}")
        _outputs[page] = tutorial.outputs
    for page, text in reference.pages().items():
        add(page, text)
    add("reference/commands.md", commands.page())
    import plotly

    add("theme/plotly.min.js", (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes())
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links, pictures and titles of blocks as the site needs them."""
    name = page.file.src_uri
    return places.adapted(markdown, name, _origins.get(name, f"docs/{name}"))


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """The outputs of a notebook in their places."""
    return notebooks.put(html, _outputs.get(page.file.src_uri, ()))
