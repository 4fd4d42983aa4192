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
    scores: Iterable[tuple[str, Scores]],
    *,
    candidates: NDArray[np.bool_],
    n: int,
    pool: int | None = None,
) -> list[Ranked]:
    """The first model's order; behind it, what only the next one has an opinion on; and so on.

    Args:
        scores: Of each model, the most trusted first: (n_items,) with NaN for no opinion. The next
            is asked for only while items and places are left.
        candidates: (n_items,) the items that may be listed at all.
        pool: Up to so many are taken, n or more, of those that are asked for n anyway.
    """
    at_most = n if pool is None else pool
    left = candidates.copy()
    ranked: list[Ranked] = []
    for source, values in scores:
        top = top_items(values, exclude=np.flatnonzero(~left), k=at_most - len(ranked))
        ranked += [Ranked(int(item), float(values[item]), source) for item in top]
        left[top] = False
        if len(ranked) >= n or not left.any():
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
    scores: Mapping[str, Scores],
    weights: Mapping[str, float],
    *,
    shape: tuple[int, ...],
    items: NDArray[np.integer] | None = None,
) -> Blend:
    """The weighted mean of the normalised scores.

    For an item of which a part has no opinion, its weight goes to the others.

    Args:
        scores: By part, (n_rows, n_items) each.
        weights: By part, not negative; one that is not named has none.
        items: Columns that alone are asked for, (m,): the blend has only these. All the same the
            scores are normalised over all columns.
    """
    if items is not None:
        shape = (*shape[:-1], len(items))
    total, weight_of_all = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, leading = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int8)
    for place, (name, values) in enumerate(scores.items()):
        weight = np.float32(weights.get(name, 0.0))
        if not weight:
            continue
        share = _normalised(values, items)
        known = ~np.isnan(values if items is None else values[..., items])
        share *= weight
        total += share
        np.add(weight_of_all, weight, out=weight_of_all, where=known)
        leads = share > most
        leads &= known
        np.copyto(leading, np.int8(place), where=leads)
        np.copyto(most, share, where=leads)
    with np.errstate(invalid="ignore"):
        total /= weight_of_all
    return Blend(total, leading, tuple(scores))


def normalised(scores: Scores) -> Scores:
    """Each row from 0, its least opinion, to 1, its greatest; NaN stays NaN.

    A row in which all are equal becomes 0. Of eight ways to make scores comparable this lost least
    in `hybrid` (docs/decisions/0044).
    """
    known = ~np.isnan(scores)
    return np.where(known, _normalised(scores), np.float32(np.nan))


def _normalised(scores: Scores, items: NDArray[np.integer] | None = None) -> Scores:
    """The same with 0 in place of NaN, of all or of some columns.

    In place: new arrays take longer than the arithmetic.
    """
    least = np.fmin.reduce(scores, axis=-1, keepdims=True, initial=np.inf)
    greatest = np.fmax.reduce(scores, axis=-1, keepdims=True, initial=-np.inf)
    span = greatest - least
    # Where they differ by less, rounding would be made as large as what is told apart.
    rounding = np.maximum(1e-4 * np.maximum(np.abs(least), np.abs(greatest)), 1e-12)
    span[~(span > rounding)] = np.inf
    values = (scores if items is None else scores[..., items]) - least
    values /= span
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
