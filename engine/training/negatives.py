"""Which documents of a batch are negatives of which query: not those it lacks, nor the query's other answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from engine.training.data import ABSENT


def hide_answers(
    scores: Tensor,
    targets: Tensor,
    query_keys: Sequence[int],
    document_keys: Sequence[int],
    answers: Mapping[int, Sequence[int]],
) -> Tensor:
    """Leave out what is no negative: documents that a row does not have, and other answers of the same query.

    Args:
        scores: [batch, documents].
        targets: int64 [batch], column of each positive.
        query_keys: One a query.
        document_keys: One a document, `ABSENT` where there is none.
        answers: Key of a query -> keys of all its positives.

    Returns:
        The scores with negative infinity there.
    """
    places: dict[int, list[int]] = {}
    for place, key in enumerate(document_keys):
        places.setdefault(key, []).append(place)
    hidden = torch.zeros(scores.shape, dtype=torch.bool)
    hidden[:, places.get(ABSENT, [])] = True
    for row, query in enumerate(query_keys):
        for key in answers.get(query, ()):
            hidden[row, places.get(key, [])] = True
    hidden.scatter_(1, targets.cpu()[:, None], False)
    return scores.masked_fill(hidden.to(scores.device), float("-inf"))
