"""The pages of the explorer, each named once: the bar, the links, the pictures and the explorer itself read this.

Light on purpose: a link from a notebook reads it too, and waits for no user interface.
"""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine import plugins

APPS = "late_interaction.apps"  # of other packages: name -> a `Page`; ours under it serve applications
OURS = ("explorer", "dashboard", "pages", "pictures", "publish", "api", "mcp")


@dataclass(frozen=True)
class Page:
    """A page of the explorer.

    Args:
        title: In the bar.
        path: In its address; "" is the first page.
        build: "package.module:function" of a function of the `Workspaces`, which builds the page into the open Blocks.
    """

    title: str
    path: str
    build: str

    @property
    def name(self) -> str:
        """What links and pictures call it."""
        return self.path or "search"

    def builder(self) -> Callable[[Any], None]:
        """The function, imported now."""
        return pkgutil.resolve_name(self.build)


PAGES = (
    Page("Search and explain", "", "apps.pages.search:page"),
    Page("Pool factor", "pool", "apps.pages.pool:page"),
    Page("Indexes", "indexes", "apps.pages.indexes:page"),
    Page("Systems", "systems", "apps.pages.systems:page"),
    Page("X-ray", "xray", "apps.pages.xray:page"),
    Page("Train", "train", "apps.pages.train:page"),
    Page("Images", "images", "apps.pages.images:page"),
    Page("Lessons", "learn", "apps.pages.learn:page"),
    Page("Bring your own", "own", "apps.pages.own:page"),
)


@lru_cache(maxsize=1)
def pages() -> tuple[Page, ...]:
    """Our pages, then those of other packages; one that cannot be had is left out and told about in the log."""
    found = list(PAGES)
    for name in plugins.names(APPS):
        if name in OURS:
            continue
        try:
            page: Any = plugins.find(APPS, name)
            if not isinstance(page, Page):
                raise TypeError(f"expected an apps.registry.Page, got {type(page).__name__}")
            if any(page.path == other.path for other in found):
                raise ValueError(f"another page has the path {page.path!r}")
            page.builder()
        except Exception as error:  # whatever another package does: our pages are served
            logging.getLogger(__name__).warning("The page %s of another package is left out: %s", name, error)
        else:
            found.append(page)
    return tuple(found)
