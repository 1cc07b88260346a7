"""The pages of the explorer, each a thin file over `workbench`."""

from __future__ import annotations

import gradio as gr

from apps.components import component

PAGES = (("Search and explain", ""), ("Pool factor", "pool"), ("Indexes", "indexes"))

_BAR = """<header class="liw bar-top"><b>Late Interaction Workbench</b><nav aria-label="Pages">{links}</nav>
<button type="button" class="tool" aria-label="Switch between light and dark">Dark</button></header>"""


def bar() -> None:
    """The bar on top of a page: its name, the other pages, light or dark."""
    gr.Navbar(visible=False)
    links = "".join(f'<a href="/{path}">{name}</a>' for name, path in PAGES)
    component("bar", _BAR.format(links=links))
