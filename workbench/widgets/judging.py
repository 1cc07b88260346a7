"""Judge which documents answer a question, with the keyboard or the mouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import ipywidgets

from engine import Collection
from engine.errors import InputError
from engine.storage import replace_text
from workbench.exports import html_table
from workbench.widgets.static import StaticFallback

UNJUDGED = -1
GRADES = (("not judged", UNJUDGED), ("0 no", 0), ("1 helps", 1), ("2 answers", 2))


class JudgingWidget(StaticFallback):
    """Go through pairs of a question and a document and grade each.

    Args:
        collection: Where the texts come from; its own judgements are where one starts.
        pool: query id -> ids of the documents to judge. Take the top results of several systems together, so that none
            is favoured, and show them in an order that does not tell the rank.

    Raises:
        InputError: an empty pool, or an id that the collection does not have.
    """

    def __init__(self, collection: Collection, pool: Mapping[str, Sequence[str]]) -> None:
        self.collection = collection
        self.pairs = [(query, name) for query, names in pool.items() for name in dict.fromkeys(names)]
        if not self.pairs:
            raise InputError("Expected at least one document to judge, got none: search for some first.")
        for query, name in self.pairs:
            if query not in collection.queries or name not in collection.documents:
                raise InputError(f"{collection.name!r} has no pair {query!r}, {name!r}: pool its own queries and ids.")
        self.grades = {
            (query, name): collection.qrels[query][name]
            for query, name in self.pairs
            if name in collection.qrels.get(query, {})
        }
        self._moving = False
        self.position = ipywidgets.IntSlider(min=1, max=len(self.pairs), description="Pair", continuous_update=False)
        self.text = ipywidgets.HTML()
        self.grade = ipywidgets.ToggleButtons(options=GRADES, value=UNJUDGED)
        self.back = ipywidgets.Button(description="Back")
        self.next = ipywidgets.Button(description="Next")
        self.status = ipywidgets.HTML()
        move = ipywidgets.HBox([self.back, self.next, self.position])
        super().__init__([self.text, self.grade, move, self.status])
        self.position.observe(lambda change: self._show(), "value")
        self.grade.observe(lambda change: self._judged(), "value")
        self.back.on_click(lambda button: self._go(-1))
        self.next.on_click(lambda button: self._go(1))
        self._show()

    def judge(self, query: str, document: str, grade: int) -> None:
        """Grade a pair by code.

        Args:
            query: Its query.
            document: Its document.
            grade: 0, 1 or 2.

        Raises:
            InputError: a pair that is not to be judged, or another grade.
        """
        if (query, document) not in self.pairs or grade not in (0, 1, 2):
            raise InputError(
                f"Expected a pair of the pool and grade 0 to 2, got {(query, document, grade)}: correct it."
            )
        self.grades[query, document] = grade
        self._show()

    @property
    def judged(self) -> Collection:
        """The collection with these judgements instead of its own."""
        qrels: dict[str, dict[str, int]] = {}
        for query, name in self.pairs:
            if (query, name) in self.grades:
                qrels.setdefault(query, {})[name] = self.grades[query, name]
        return replace(self.collection, qrels=qrels)

    def save(self, path: str | Path) -> Path:
        """Write the judgements in the BEIR layout, as `qrels/test.tsv` of a collection folder.

        Args:
            path: The file.

        Returns:
            The path.
        """
        rows = [f"{query}\t{name}\t{self.grades[query, name]}" for query, name in self.pairs
                if (query, name) in self.grades]  # fmt: skip
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_text(target, "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
        return target

    def static_html(self) -> str:
        """See the base."""
        rows = [(self.collection.queries[query], name, str(grade)) for (query, name), grade in self.grades.items()]
        return html_table(("question", "document", "grade"), rows)

    def _go(self, by: int) -> None:
        self.position.value = min(max(self.position.value + by, 1), len(self.pairs))

    def _judged(self) -> None:
        if self._moving:
            return
        pair = self.pairs[self.position.value - 1]
        if self.grade.value == UNJUDGED:
            self.grades.pop(pair, None)
        else:
            self.grades[pair] = int(str(self.grade.value))
        self._count()

    def _show(self) -> None:
        query, name = self.pairs[self.position.value - 1]
        self.text.value = (
            f"<p><b>{escape(self.collection.queries[query])}</b></p><p><code>{escape(name)}</code></p>"
            f'<p style="max-width:48em">{escape(self.collection.documents[name])}</p>'
        )
        self._moving = True  # the button follows the pair: that is no judgement
        self.grade.value = self.grades.get((query, name), UNJUDGED)
        self._moving = False
        self._count()

    def _count(self) -> None:
        self.status.value = f"{len(self.grades)} of {len(self.pairs)} pairs judged"
