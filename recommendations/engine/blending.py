"""From the scores of several models to one order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.evaluation import top_items
from recommendations.engine.protocol import Scores


@dataclass(frozen=True)
class Ranked:
    """An item's place in a list, and the model that put it there."""

    item: int
    score: float
    source: str


def rank_with_fallback(
    scores: Iterable[tuple[str, Scores]], *, candidates: NDArray[np.bool_], n: int
) -> list[Ranked]:
    """The first model's order; behind it, what only the next one has an opinion on; and so on.

    Args:
        scores: Of each model, the most trusted first: (n_items,) with NaN for no opinion. The next
            is asked for only while items and places are left.
        candidates: (n_items,) the items that may be listed at all.
    """
    left = candidates.copy()
    ranked: list[Ranked] = []
    for source, values in scores:
        top = top_items(values, exclude=np.flatnonzero(~left), k=n - len(ranked))
        ranked += [Ranked(int(item), float(values[item]), source) for item in top]
        left[top] = False
        if len(ranked) == n or not left.any():
            break
    return ranked
