"""From the scores of several models to one order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True)
class Blend:
    """Several models' scores in one.

    Attributes:
        scores: (n_rows, n_items) float32, NaN where no part has an opinion.
        leading: (n_rows, n_items) int8, the place in `parts` of the one that did most for the
            score; -1 for none.
        parts: Their names.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: tuple[str, ...]


def blend(
    scores: Mapping[str, Scores], weights: Mapping[str, float], *, shape: tuple[int, ...]
) -> Blend:
    """The weighted mean of the standardised scores.

    For an item of which a part has no opinion, its weight goes to the others.

    Args:
        scores: By part, (n_rows, n_items) each.
        weights: By part, not negative; one that is not named has none.
    """
    total, weight_of_all = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, leading = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int8)
    for place, (name, values) in enumerate(scores.items()):
        weight = np.float32(weights.get(name, 0.0))
        if not weight:
            continue
        known = ~np.isnan(values)
        share = np.where(known, weight * standardised(values), np.float32(0))
        total += share
        weight_of_all += weight * known
        leads = known & (share > most)
        leading[leads] = place
        most[leads] = share[leads]
    with np.errstate(invalid="ignore"):
        return Blend(total / weight_of_all, leading, tuple(scores))


def standardised(scores: Scores) -> Scores:
    """Each row with mean 0 and standard deviation 1 over its opinions; NaN stays NaN.

    A row in which all are equal becomes 0.
    """
    known = ~np.isnan(scores)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    values = np.where(known, scores, np.float32(0))
    centred = np.where(known, scores - values.sum(axis=-1, keepdims=True) / count, np.float32(0))
    deviation = np.sqrt((centred**2).sum(axis=-1, keepdims=True) / count)
    deviation[deviation <= 1e-7 * np.abs(values).max(axis=-1, keepdims=True, initial=0)] = 1
    return np.where(known, centred / deviation, np.nan).astype(np.float32)
