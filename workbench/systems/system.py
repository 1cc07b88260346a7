"""System: stages built over one collection, that answer questions together and tell what each of them did."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from engine import Collection, Ranking
from engine.errors import InputError, NotFoundError
from engine.retrieval import check_k
from workbench.systems.fusion import fuse
from workbench.systems.material import Material, Question, Questions
from workbench.systems.parts import Answer, Built, Passed, Timed, order_of, reranked, sent_on, timed
from workbench.systems.stages import Finder, Found, Reranker, Stage
from workbench.systems.text import Fused

DEPTH = 100  # results that weights are chosen for
REMEMBERED = 1000  # questions whose times `describe` is about


class System:
    """Answers questions over one collection; use `workbench.systems.build`.

    Searching never changes what a system answers. Like an index it takes questions with all that they need encoded
    (`ask`), so that one protocol times both.

    Args:
        text: The one text that stands for it.
        root: Its stages.
        material: What they were built on.
    """

    def __init__(self, text: str, root: Built, material: Material) -> None:
        self.text = text
        self.root = root
        self.material = material
        self._times: deque[tuple[Timed, ...]] = deque(maxlen=REMEMBERED)

    @property
    def collection(self) -> Collection:
        """What it searches."""
        return self.material.collection

    @property
    def stages(self) -> list[tuple[str, Stage]]:
        """Text and stage of each leaf, in the order of the text."""
        return self.root.stages()

    def __len__(self) -> int:
        return len(self.material.ids)

    def ask(self, texts: Sequence[str]) -> Questions:
        """Questions with all that the stages need to know of them, encoded once for all stages.

        Args:
            texts: n questions, none empty.

        Returns:
            The questions.

        Raises:
            InputError: a text that is no question.
        """
        bad = next((text for text in texts if not isinstance(text, str) or not text.strip()), None)
        if bad is not None:
            raise InputError(f"Expected questions, got {bad!r} among them: leave it out.")
        parts: dict[str, Any] = {}
        for _, stage in self.stages:
            if stage.needs and stage.needs not in parts:
                parts[stage.needs] = stage.encode(texts)
        return Questions(tuple(texts), parts)

    def search(
        self, questions: Questions | Sequence[str], k: int = 10, subset: Sequence[str] | None = None
    ) -> list[Ranking]:
        """Find the best documents for each question.

        Args:
            questions: Texts, or what `ask` made of them.
            k: How many documents; fewer come back where the stages send on fewer.
            subset: Ids to search among; None searches all.

        Returns:
            One `Answer` a question, best first, equal scores by id.

        Raises:
            InputError: k below 1, or a text that is no question.
            NotFoundError: an id of the subset is no document.
        """
        check_k(k)
        among = None if subset is None else np.unique(np.array([self.place_of(name) for name in subset], np.int64))
        asked = questions if isinstance(questions, Questions) else self.ask(list(questions))
        return [self.answer(asked[number], k, among) for number in range(len(asked))]

    def answer(self, question: Question, k: int, among: np.ndarray | None = None) -> Answer:
        """Answer one question, among some positions or all, and tell what each stage did."""
        found = self.deeper(question, k, {}, among)
        self._times.append(tuple(map(timed, found.passed)))
        return found

    def deeper(self, question: Question, k: int, depths: Mapping[str, int], among: np.ndarray | None = None) -> Answer:
        """What the answer would be if some stages sent on more.

        Args:
            question: The question.
            k: Results.
            depths: Text of a stage that finds documents, or of a fusion -> how many it sends on at least.
            among: int64, rising, positions to search among; None is all.
        """
        passed: list[Passed] = []
        found = self._run(self.root, question, k, False, passed, among, depths)
        ids = self.material.ids
        return Answer([ids[i] for i in found.positions], found.scores, found.notes, tuple(passed))

    def found(self, question: Question, k: int = DEPTH) -> Found:
        """What the system sends on where another stage comes behind it."""
        return self._run(self.root, question, k, True, [])

    def _run(
        self, part: Built, question: Question, k: int, followed: bool, passed: list[Passed],
        among: np.ndarray | None = None, depths: Mapping[str, int] = MappingProxyType({}),
    ) -> Found:  # fmt: skip
        """What a part finds; `followed` says that another one comes behind it."""
        inner = [self._run(entry, question, k, True, passed, among, depths) for entry in part.parts]
        limit, start = sent_on(part, k, followed), time.perf_counter()
        if limit is not None and part.own in depths and not isinstance(part.stage, Reranker):
            limit = max(limit, depths[part.own])
        if isinstance(part.stage, Finder):
            entered = len(self) if among is None else len(among)
            found = part.stage.find(question, limit or len(self), among)
        elif isinstance(part.stage, Reranker):
            entered, found = (
                len(inner[0].positions),
                reranked(part.stage, question, inner[0], self.material.ties, limit),
            )
        else:
            assert isinstance(part.tree, Fused)
            assert part.weights is not None
            weights = part.weights.of(question.text)
            found = fuse(inner, part.tree.options, weights, self.material.ties, limit)
            entered = len(np.unique(np.concatenate([entry.positions for entry in inner])))
        passed.append(Passed(part.own, entered, found, (time.perf_counter() - start) * 1e3))
        return found

    @property
    def timed(self) -> int:
        """Questions that a clock asks it at most."""
        return min(stage.timed for _, stage in self.stages)

    @property
    def bytes(self) -> int:
        """Of all that a search reads; what two stages share counts once."""
        return sum({name: size for _, stage in self.stages for name, size in stage.holdings.items()}.values())

    @property
    def build_seconds(self) -> float | None:
        """Of building all stages from vectors and texts; None where one was found and nobody knows any more."""
        seconds = {tuple(stage.holdings): stage.build_seconds for _, stage in self.stages}.values()
        return None if None in seconds else float(sum(filter(None, seconds)))

    def describe(self) -> dict[str, Any]:
        """Text, bytes, and for each stage its options, bytes, build seconds; times where questions were asked.

        Returns:
            JSON values; `p50_ms`, `entered` and `sent` of a stage are medians over the last questions.
        """
        return {
            "kind": "system", "text": self.text, "documents": len(self), "bytes": self.bytes,
            "build_s": self.build_seconds, "stages": stage_table(self, list(self._times)),
        }  # fmt: skip

    def reasons(self, question: str, document: str) -> dict[str, tuple[tuple[str, float], ...]]:
        """Why stages that add words up rank a document: stage -> words of the question and what each adds.

        Args:
            question: Its text.
            document: An id.

        Returns:
            Only the stages that have such a sum; no words where a document has none of them.

        Raises:
            NotFoundError: no such document.
        """
        position, asked = self.place_of(document), Question(question)
        found = {text: stage.reasons(asked, position) for text, stage in self.stages}
        return {text: words for text, words in found.items() if words is not None}

    def place_of(self, document: str) -> int:
        """Position of a document.

        Raises:
            NotFoundError: no such document.
        """
        if document not in self.material.position:
            raise NotFoundError(f"{self.collection.name!r} has no document {document!r}: take one from a result.")
        return self.material.position[document]

    def uncached(self) -> System:
        """The same whose stages forget what they remember of earlier questions, for clocks."""

        def fresh(part: Built) -> Built:
            stage = None if part.stage is None else part.stage.uncached()
            return replace(part, stage=stage, parts=tuple(map(fresh, part.parts)))

        return System(self.text, fresh(self.root), self.material)


def stage_table(system: System, times: Sequence[Sequence[Timed]]) -> list[dict[str, Any]]:
    """One entry a stage of the text: options, bytes, build seconds, and medians over questions.

    Args:
        system: The system.
        times: For each of some questions, one entry a stage; without questions the medians are None.
    """
    table = []
    for place, (text, part) in enumerate(order_of(system.root)):
        rows, stage = [entry[place] for entry in times], part.stage
        options = stage.describe() if stage is not None else fusion_options(part)
        medians = [float(np.median(column)) for column in zip(*rows, strict=True)] if rows else [None] * 3
        table.append({
            "stage": text, "options": options, "bytes": sum(stage.holdings.values()) if stage is not None else 0,
            "build_s": stage.build_seconds if stage is not None else 0.0,
            **dict(zip(("p50_ms", "entered", "sent"), medians, strict=True)),
        })  # fmt: skip
    return table


def fusion_options(part: Built) -> dict[str, Any]:
    """All options of a fusion, and its weights."""
    assert isinstance(part.tree, Fused)
    assert part.weights is not None
    return asdict(part.tree.options) | part.weights.describe()
