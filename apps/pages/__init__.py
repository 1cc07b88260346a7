"""The pages of the explorer, each a thin file over `workbench`."""

from __future__ import annotations

import gradio as gr

from apps.components import component

PAGES = (("Search and explain", ""), ("Pool factor", "pool"), ("Indexes", "indexes"))
HEAVY = "heavy"  # the queue of what keeps the machine busy: one run at a time


def bar() -> None:
    """The bar on top of a page: its name, the other pages, light or dark."""
    gr.Navbar(visible=False)
    component("bar", [{"name": name, "path": path} for name, path in PAGES])
