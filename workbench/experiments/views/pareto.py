"""Which of several points no other one beats in both cost and quality."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """Positions of the points that no other point beats, cheapest first (less x is better, more y is better).

    Args:
        x: n costs.
        y: n qualities.

    Returns:
        Positions with rising x and rising y; of equal points the first.
    """
    front: list[int] = []
    for i in sorted(range(len(x)), key=lambda i: (x[i], -y[i], i)):
        if not front or y[i] > y[front[-1]]:
            front.append(i)
    return front
