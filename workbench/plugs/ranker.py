"""Ranker: scores of texts for a question, by late interaction; what every plug stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Encoder
from engine.errors import InputError
from engine.maxsim import scorers
from workbench.client import Client

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

UNSCORED = float("-inf")  # of a text of which nothing is left to score: it comes last


class Ranker:
    """Scores texts for a question.

    Args:
        model: A name or folder for `Encoder.load`, an encoder, a MultiVectorEncoder of sentence-transformers, or a
            client of a server.
        scorer: A name of `engine.maxsim.scorers`.
        device: Where a model that is loaded here runs.

    Raises:
        InputError: an unknown scorer.
        NotFoundError: no such model.
    """

    def __init__(
        self, model: str | Encoder | MultiVectorEncoder | Client = "embedded", scorer: str = scorers.DEFAULT,
        device: str = "auto",
    ) -> None:  # fmt: skip
        self.client = model if isinstance(model, Client) else None
        self.scorer = scorer
        if isinstance(model, Client):
            return
        if isinstance(model, str):
            self.encoder: Any = Encoder.load(model, device=device)
        else:
            self.encoder = model if hasattr(model, "fingerprint") else Encoder(model)  # type: ignore[arg-type]
        self._by = scorers.get(scorer, getattr(self.encoder, "name", ""))

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Score texts for one question.

        Args:
            question: The question.
            texts: n texts; an empty one cannot be scored.

        Returns:
            float32 [n], higher is better, minus infinity where nothing of a text is left to score.

        Raises:
            InputError: an empty question, or more texts than a server takes at once.
        """
        return self.pair_scores([(question, text) for text in texts])

    def pair_scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Score pairs of a question and a text; each question and each text is encoded once.

        Args:
            pairs: n pairs.

        Returns:
            float32 [n].
        """
        found = np.full(len(pairs), UNSCORED, np.float32)
        places: dict[str, list[int]] = {}
        for place, (question, text) in enumerate(pairs):
            if not question.strip():
                raise InputError("Expected a question, got an empty one: give a few words.")
            if text.strip():
                places.setdefault(question, []).append(place)
        texts = {question: [pairs[place][1] for place in asked] for question, asked in places.items()}
        scored = self._asked(texts) if self.client is not None else self._here(texts)
        for question, values in scored.items():
            found[places[question]] = values
        return found

    def best(self, question: str, texts: Sequence[str], k: int | None = None) -> list[tuple[int, float]]:
        """Put texts in order.

        Args:
            question: The question.
            texts: The texts.
            k: How many of the best; all when None.

        Returns:
            Place of a text, and its score, best first, equal scores by place.
        """
        scores = self.scores(question, texts)
        return [(int(place), float(scores[place])) for place in np.argsort(-scores, kind="stable")[:k]]

    def _here(self, texts: dict[str, list[str]]) -> dict[str, np.ndarray]:
        every = list(dict.fromkeys(text for asked in texts.values() for text in asked))
        if not every:
            return {}
        position = {text: place for place, text in enumerate(every)}
        documents, queries = self.encoder.encode_document(every), self.encoder.encode_query(list(texts))
        return {
            question: scorers.score(
                self._by, queries.select([number]), documents.select([position[text] for text in asked])
            )[0]
            for number, (question, asked) in enumerate(texts.items())
        }  # fmt: skip

    def _asked(self, texts: dict[str, list[str]]) -> dict[str, np.ndarray]:
        assert self.client is not None
        found = {}
        for question, asked in texts.items():
            found[question] = np.full(len(asked), UNSCORED, np.float32)
            for result in self.client.rerank(question, asked, scorer=self.scorer).results:
                found[question][result.index] = result.score
        return found
