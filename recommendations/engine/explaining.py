"""Why an item stands in a list."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def strongest_entries(contributions: NDArray[np.float64], *, at_most: int) -> list[list[int]]:
    """For each item the entries of the history that raise its score most, the strongest first.

    An entry counts from a quarter of the strongest one's contribution on.

    Args:
        contributions: (n_items, n_entries), as from `Recommender.contributions`.
    """
    n_items, n_entries = contributions.shape
    n = min(at_most, n_entries)
    if not n:
        return [[] for _ in range(n_items)]
    top = np.sort(np.argpartition(-contributions, n - 1, axis=1)[:, :n], axis=1)
    parts = np.take_along_axis(contributions, top, axis=1)
    order = np.argsort(-parts, axis=1, kind="stable")
    top, parts = np.take_along_axis(top, order, axis=1), np.take_along_axis(parts, order, axis=1)
    counts = parts > np.maximum(parts[:, :1] / 4, 0)
    return [row[kept].tolist() for row, kept in zip(top, counts, strict=True)]
