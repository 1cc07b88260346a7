"""Examples as training takes them: one positive each, and nothing that is an answer and no answer at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.letters import clean
from engine.training.formats import Example


def judged_examples(examples: Iterable[Example], counts: dict[str, int]) -> list[Example]:
    """Pairs with a label of 0 or 1, by question: its documents of label 0 are the negatives of its positives.

    Args:
        examples: Each with a label.
        counts: "without_positive" grows by the rows of questions that have none, "contradicting" by those that judge a
            document otherwise than one before; it is a positive then.

    Returns:
        One example a question.
    """
    judged: dict[str, dict[str, int]] = {}
    for example in examples:
        documents = judged.setdefault(example.query, {})
        text, label = example.positives[0], int(example.label or 0)
        if documents.get(text, label) != label:
            counts["contradicting"] = counts.get("contradicting", 0) + 1
        documents[text] = max(label, documents.get(text, 0))
    found = []
    for query, documents in judged.items():
        positives = tuple(text for text, label in documents.items() if label)
        if positives:
            found.append(Example(query, positives, tuple(text for text, label in documents.items() if not label)))
        else:
            counts["without_positive"] = counts.get("without_positive", 0) + len(documents)
    return found


def consistent_examples(examples: Sequence[Example], counts: dict[str, int]) -> list[Example]:
    """One example a positive, unusable letters replaced, no negative that is a positive of the same question.

    Args:
        examples: As read.
        counts: "replaced", "contradicting" and "several_positives" grow by what was found.

    Returns:
        The examples; scored lists stay whole.
    """
    cleaned = _cleaned(examples, counts)
    answers: dict[str, set[str]] = {}
    for example in cleaned:
        if example.scores is None:
            answers.setdefault(example.query, set()).update(example.positives)
    found = []
    for example in cleaned:
        if example.listed:
            found.append(example)
            continue
        negatives = example.negatives
        if example.scores is None:
            negatives = tuple(dict.fromkeys(text for text in negatives if text not in answers[example.query]))
            wrong = len(set(example.negatives)) - len(negatives)
            if wrong:
                counts["contradicting"] = counts.get("contradicting", 0) + wrong
        several = len(example.positives) > 1
        if several:
            counts["several_positives"] = counts.get("several_positives", 0) + 1
        others = None if example.scores is None else example.scores[len(example.positives) :]
        if not several and negatives == example.negatives:
            found.append(example)
            continue
        for i, positive in enumerate(example.positives):
            scores = None if example.scores is None or others is None else (example.scores[i], *others)
            found.append(replace(example, positives=(positive,), negatives=negatives, scores=scores))
    return found


def _cleaned(examples: Sequence[Example], counts: dict[str, int]) -> list[Example]:
    cleaned = []
    for example in examples:
        texts = (example.query, *example.positives, *example.negatives)
        usable = [clean(text) for text in texts]
        if any(text is not before for text, before in zip(usable, texts, strict=True)):
            counts["replaced"] = counts.get("replaced", 0) + 1
            cut = 1 + len(example.positives)
            example = replace(example, query=usable[0], positives=tuple(usable[1:cut]), negatives=tuple(usable[cut:]))  # noqa: PLW2901
        cleaned.append(example)
    return cleaned
