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
    strongest: list[list[int]] = []
    for row in contributions:
        order = np.argsort(-row, kind="stable")[:at_most]
        floor = max(row[order[0]] / 4, 0) if len(order) else 0
        strongest.append([int(entry) for entry in order if row[entry] > floor])
    return strongest
