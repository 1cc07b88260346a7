"""Where files of the repository stand on the site, and links between them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Files outside docs/ that are pages too: path in the repository -> page
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "notebooks/README.md": "tutorials/index.md",
    "benchmarks/NOTES.md": "findings/notes.md",
    "assets/head/README.md": "findings/embedded-model.md",
    "assets/embedded/README.md": "findings/embedded-collection.md",
}
LINK = re.compile(r"(?<![!`])\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
PICTURE = re.compile(
    r'<picture><source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
    r'<img src="([^"]+)" alt="([^"]*)"([^>]*)></picture>'
)
FENCE = re.compile(r"^```(\w+) (\S[^`\n]*)$", re.M)
BLOCKS = re.compile(r"(^```.*?^```[ ]*$)", re.M | re.S)


def page_of(path: str) -> str | None:
    """The page of a file of the repository, or None where it has none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/") and path.endswith(".ipynb"):
        return f"tutorials/{Path(path).stem}.md"
    if path.startswith("benchmarks/notes/") and path.endswith(".md"):
        return f"findings/notes-{Path(path).stem}.md"
    return PAGES.get(path)


def generated() -> dict[str, str]:
    """Page -> file of the repository outside docs/ that it shows, but for notebooks, which are run first."""
    found = {page: path for path, page in PAGES.items() if page != "index.md"}
    for path in sorted((ROOT / "benchmarks" / "notes").glob("*.md")):
        found[f"findings/notes-{path.stem}.md"] = f"benchmarks/notes/{path.name}"
    return found


def adapted(text: str, page: str, origin: str) -> str:
    """Markdown of the repository as the site needs it.

    Links lead to pages, or are plain text where the site has none (source files); pictures follow the colours that a
    reader chooses; names behind the language of a block become its title.

    Args:
        text: Markdown.
        page: Its page, such as "project/changelog.md".
        origin: Its file in the repository, such as "CHANGELOG.md".

    Returns:
        Markdown.
    """
    base = posixpath.dirname(page)

    def linked(found: re.Match[str]) -> str:
        label, target = found[1], found[2]
        if "://" in target or target.startswith(("#", "mailto:")):
            return found[0]
        path, mark, part = target.partition("#")
        there = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(origin), path)))
        if there is None:
            return label if label.startswith("`") else f"`{label}`"
        return f"[{label}]({posixpath.relpath(there, base or '.')}{mark}{part})"

    def pictured(found: re.Match[str]) -> str:
        dark, light, alt, rest = found.groups()
        both = ((light, "light"), (dark, "dark"))
        return "".join(f'<img src="{source}#only-{scheme}" alt="{alt}"{rest}>' for source, scheme in both)

    def outside(piece: str) -> str:
        return PICTURE.sub(pictured, LINK.sub(linked, piece))

    parts = BLOCKS.split(text)
    text = "".join(part if number % 2 else outside(part) for number, part in enumerate(parts))
    return FENCE.sub(lambda found: f'```{_lexer(found[1])} title="{found[2]}"', text)


def _lexer(language: str) -> str:
    return {"jsonl": "json", "tsv": "text"}.get(language, language)
