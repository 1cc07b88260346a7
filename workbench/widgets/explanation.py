"""Edit a question and a text, and see what every token adds to the score."""

from __future__ import annotations

import asyncio
from typing import Any

import ipywidgets
import plotly.graph_objects as go

from engine import Alignment, Encoder, explain
from engine.errors import WorkbenchError
from engine.explain import is_long, stretches
from workbench import figures
from workbench.widgets.static import StaticFallback, alignment_html, error_html, prose_html, score_html

WAIT_S = 0.3  # a pause in typing
ALL = "all tokens"


class ExplanationWidget(StaticFallback):
    """Two texts that can be edited, their MaxSim score as a sum, and the similarity matrix behind it.

    Args:
        encoder: The model.
        question: The question to begin with.
        text: The text to begin with.
        theme: "light" or "dark".

    Raises:
        InputError: one of the two is empty.
    """

    def __init__(self, encoder: Encoder, question: str, text: str, theme: str = "light") -> None:
        self.encoder = encoder
        self.theme = theme
        self.alignment: Alignment = explain(encoder, question, text)
        wide = ipywidgets.Layout(width="auto")
        self.question = ipywidgets.Text(question, description="Question", layout=wide)
        self.text = ipywidgets.Textarea(text, description="Text", rows=3, layout=wide)
        self.token = ipywidgets.Dropdown(description="Tint by")
        self.score = ipywidgets.HTML()
        self.passage = ipywidgets.Dropdown(description="Passage")
        self.prose = ipywidgets.HTML()
        self.matrix = ipywidgets.Box(layout=wide)
        self._waiting: asyncio.Task[None] | None = None
        choices = ipywidgets.HBox([self.token, self.passage])
        super().__init__([self.question, self.text, self.score, choices, self.prose, self.matrix])
        self._offer()
        self._draw()
        for box in (self.question, self.text):
            box.observe(self._edited, "value")
        for menu in (self.token, self.passage):
            menu.observe(lambda change: self._draw(), "value")

    def static_html(self) -> str:
        """See the base."""
        return alignment_html(self.alignment, self.question.value, self.text.value, self.theme)

    def _edited(self, change: Any) -> None:
        """Score again after a pause in typing; at once where no event loop runs."""
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            self._waiting = asyncio.get_running_loop().create_task(self._after_a_pause())
        except RuntimeError:
            self.rescore()

    async def _after_a_pause(self) -> None:
        await asyncio.sleep(WAIT_S)
        self.rescore()

    def rescore(self) -> None:
        """Explain what the two boxes hold now; a text that cannot be scored leaves the last figure and says why."""
        try:
            self.alignment = explain(self.encoder, self.question.value, self.text.value)
        except WorkbenchError as error:
            self.score.value = error_html(str(error), self.theme)
            return
        self._offer()
        self._draw()

    def _offer(self) -> None:
        """Fill the menus: tokens of the question, and passages of a long text, most of the score first."""
        self.parts = stretches(self.alignment) if is_long(self.alignment) else []
        order = sorted(range(len(self.parts)), key=lambda number: -self.parts[number].score)
        passages = [(f"{number + 1} of {len(order)}: {self.parts[number].score:.2f}", number) for number in order]
        self.passage.layout.display = None if passages else "none"
        if list(self.passage.options) != passages:
            self.passage.options = passages
        names = [f"{position + 1}. {token}" for position, token in enumerate(self.alignment.query_tokens)]
        options = [(ALL, -1), *[(name, position) for position, name in enumerate(names)]]
        if list(self.token.options) != options:
            self.token.options, self.token.value = options, -1

    def _draw(self) -> None:
        chosen = None if self.token.value in (None, -1) else int(self.token.value)
        passage = self.passage.value if self.parts else None
        self.score.value = score_html(self.alignment, self.theme, chosen)
        self.prose.value = prose_html(self.alignment, self.text.value, chosen, self.theme, passage)
        # A new figure rather than a changed one: the number of outlines changes with the number of tokens.
        drawn = figures.maxsim_heatmap(self.alignment, chosen, self.theme, passage)
        old, figure = self.matrix.children, go.FigureWidget(drawn)
        self.matrix.children = (figure,)
        for widget in old:
            widget.close()
