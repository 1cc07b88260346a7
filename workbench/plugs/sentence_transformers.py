"""Where sentence-transformers wants a CrossEncoder: its `rank` and `predict`, and with them its evaluators.

from workbench.plugs.sentence_transformers import PairScorer

scorer = PairScorer("embedded")          # or PairScorer(a MultiVectorEncoder that you have)
scorer.rank("how do I sort a list", texts, top_k=3, return_documents=True)
CrossEncoderRerankingEvaluator(samples)(scorer)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import InputError
from workbench.plugs.ranker import Ranker


class Card:
    """What the library's evaluators write down about a model that they measured."""

    def __init__(self) -> None:
        self.evaluations: list[dict[str, Any]] = []

    def set_evaluation_metrics(
        self, evaluator: Any, metrics: Mapping[str, float], epoch: int = 0, step: int = 0
    ) -> None:  # fmt: skip
        """Keep the metrics of one evaluation, with the name of what measured them, and when in a training."""
        self.evaluations.append({"evaluator": evaluator.name, "epoch": epoch, "step": step, **metrics})


class PairScorer:
    """Scores pairs by late interaction, called as a CrossEncoder is.

    Args:
        model: See `Ranker`.
        scorer: See `Ranker`.
        device: See `Ranker`.
    """

    num_labels = 1

    def __init__(self, model: Any = "embedded", scorer: str = "maxsim", device: str = "auto") -> None:
        self.ranker = Ranker(model, scorer, device)
        self.model_card_data = Card()

    def predict(
        self, inputs: Sequence[Sequence[str]] | Sequence[str], *, prompt_name: str | None = None, batch_size: int = 32,
        convert_to_numpy: bool = True, show_progress_bar: bool | None = None,
    ) -> np.ndarray | float:  # fmt: skip
        """Score pairs of a question and a text.

        Args:
            inputs: n pairs, or one.
            prompt_name: A model here has its own prompts for questions and documents: only None.
            batch_size: Of the library's evaluators; batches are cut by tokens here, and no score depends on it.
            convert_to_numpy: Only True.
            show_progress_bar: Of the library's evaluators; nothing is shown.

        Returns:
            float32 [n], or one number for one pair.

        Raises:
            InputError: an option that cannot be had here, or what are no pairs.
        """
        if prompt_name is not None or not convert_to_numpy:
            raise InputError("Expected no prompt_name and convert_to_numpy=True: leave both out.")
        if len(inputs) == 2 and all(isinstance(text, str) for text in inputs):
            return float(self.ranker.pair_scores([(str(inputs[0]), str(inputs[1]))])[0])
        wrong = next((pair for pair in inputs if isinstance(pair, str) or len(pair) != 2), None)
        if wrong is not None:
            raise InputError(f"Expected pairs of a question and a text, got {str(wrong)[:60]!r}: correct it.")
        return self.ranker.pair_scores([(str(pair[0]), str(pair[1])) for pair in inputs])

    def rank(
        self, query: str, documents: Sequence[str], top_k: int | None = None, return_documents: bool = False
    ) -> list[dict[str, Any]]:
        """Put texts in order.

        Args:
            query: The question.
            documents: The texts.
            top_k: How many of the best; all when None.
            return_documents: Whether each entry holds its text.

        Returns:
            "corpus_id" (the place of a text), "score", and "text" where asked for; best first.
        """
        best = self.ranker.best(query, documents, top_k)
        return [
            {"corpus_id": place, "score": score, **({"text": documents[place]} if return_documents else {})}
            for place, score in best
        ]
