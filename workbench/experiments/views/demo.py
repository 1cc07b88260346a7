"""The demo's table: four ways to search the same texts, from their runs."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.runs.record import Run


@dataclass(frozen=True)
class DemoRow:
    """One way to search.

    Args:
        system: Its name.
        ndcg: nDCG@10 over the judged questions.
        recall: recall@100.
        milliseconds: Median time of one question, without encoding it.
        bytes_per_token: Bytes that a search reads, over the tokens of the collection.
        run: Name of the run.
    """

    system: str
    ndcg: float
    recall: float
    milliseconds: float
    bytes_per_token: float
    run: str


def demo_row(system: str, run: Run, tokens: int) -> DemoRow:
    """A run as a row.

    Args:
        system: What people call it.
        run: Finished.
        tokens: Token vectors of the whole collection.

    Returns:
        The row.
    """
    size = (run.bytes or 0) / tokens
    return DemoRow(system, run.mean["ndcg@10"], run.mean["recall@100"], run.p50_ms, size, run.id)
