"""Ask a collection, and see why each document is where it is."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets
import plotly.graph_objects as go

from engine.errors import WorkbenchError
from workbench import figures
from workbench.widgets.static import StaticFallback, alignment_html, error_html, prose_html, score_html
from workbench.workspace import Hit, SearchResult, Workspace


class SearchWidget(StaticFallback):
    """A question, its ranked documents, and the tokens behind the score of the chosen one.

    Args:
        workspace: What is searched; see `open_workspace`.
        question: The question to begin with.
        k: How many documents to show.
        theme: "light" or "dark".

    Raises:
        InputError: an empty question or k below 1.
    """

    def __init__(self, workspace: Workspace, question: str, k: int = 10, theme: str = "light") -> None:
        self.workspace = workspace
        self.k = k
        self.theme = theme
        self.result: SearchResult = workspace.search(question, k)
        wide = ipywidgets.Layout(width="100%")
        self.question = ipywidgets.Text(question, description="Question", continuous_update=False, layout=wide)
        self.button = ipywidgets.Button(description="Search", button_style="primary")
        self.status = ipywidgets.HTML()
        self.hits = ipywidgets.Select(description="Documents", rows=min(k, 10), layout=wide)
        self.against = ipywidgets.Dropdown(description="Compare with")
        self.score = ipywidgets.HTML()
        self.prose = ipywidgets.HTML()
        self.figure = ipywidgets.Box(layout=wide)
        ask = ipywidgets.HBox([self.question, self.button])
        super().__init__([ask, self.status, self.hits, self.score, self.prose, self.against, self.figure])
        self._show_result()
        self.question.observe(self.search, "value")
        self.button.on_click(self.search)
        self.hits.observe(self._draw, "value")
        self.against.observe(self._draw, "value")

    @property
    def chosen(self) -> Hit | None:
        """The hit that is explained, or None while nothing was found."""
        return next((hit for hit in self.result.hits if hit.id == self.hits.value), None)

    def search(self, change: Any = None) -> None:
        """Search for what the box holds now; a question that cannot be asked leaves the last result and says why."""
        try:
            self.result = self.workspace.search(self.question.value, self.k)
        except WorkbenchError as error:
            self.status.value = error_html(str(error), self.theme)
            return
        self._show_result()

    def static_html(self) -> str:
        """See the base."""
        rows = "".join(f"<li>{escape(hit.title)}: {hit.score:.3f}</li>" for hit in self.result.hits)
        hit = self.chosen
        if hit is None:
            return f"<p>{escape(self.result.question)}: nothing found</p>"
        alignment = self.workspace.explain(self.result.question, hit.id)
        return f"<ol>{rows}</ol>{alignment_html(alignment, self.result.question, hit.text, self.theme)}"

    def _show_result(self) -> None:
        hits = self.result.hits
        self.status.value = (
            f"{len(hits)} of {len(self.workspace.collection.documents):,} documents in "
            f"{1000 * self.result.seconds:.0f} ms, scored on {self.result.scored_on}. {self.result.caveat}"
        )
        self.hits.options = [(f"{hit.rank}. {hit.title}  {hit.score:.3f}", hit.id) for hit in hits]
        self.hits.value = hits[0].id if hits else None
        self.against.options = [("nothing", ""), *[(f"{hit.rank}. {hit.title}", hit.id) for hit in hits]]
        self._draw()

    def _draw(self, change: Any = None) -> None:
        hit = self.chosen
        if hit is None:
            self.score.value = self.prose.value = ""
            return
        alignment = self.workspace.explain(self.result.question, hit.id)
        self.score.value = score_html(alignment, self.theme)
        self.prose.value = prose_html(alignment, hit.text, None, self.theme)
        other = self.against.value
        if other and other != hit.id:
            second = self.workspace.explain(self.result.question, other)
            drawn = figures.contribution_difference(alignment, second, (hit.id, other), self.theme)
        else:
            drawn = figures.maxsim_heatmap(alignment, None, self.theme)
        old = self.figure.children
        self.figure.children = (go.FigureWidget(drawn),)
        for widget in old:
            widget.close()
