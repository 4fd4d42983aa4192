"""Explanations: the entries of a user's history because of which an item is in the list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.composite import Composite
from recommendations.engine.matrices import Scores, Times
from recommendations.engine.recommender import Recommender

#: The least share of the strongest entry's contribution.
LEAST_SHARE = 0.25
#: Entries that are tested for each item, and for all items together.
LOOKED_AT = 3
MOST_ENTRIES = 24
#: The newest entries that are tested if a model cannot tell contributions.
NEWEST = 20
#: A smaller fall, as a share of the greatest score, is rounding.
ROUNDING = 1e-5
#: The fall of a score that becomes NaN.
GONE = 1e9


@dataclass(frozen=True, eq=False)
class Influence:
    """The influence of a user's entries on the scores of one part of a model.

    Attributes:
        falls: (n_items, n_entries) float64, by how much the part's score falls without each entry;
            0 where it does not fall, or where the score of the whole model does not.
        fits: (n_items,) bool, whether the part scores the item above its mean.
    """

    falls: NDArray[np.float64]
    fits: NDArray[np.bool_]


def influences(
    recommender: Recommender,
    history: csr_matrix,
    times: Times = None,
    *,
    entries: NDArray[np.integer],
    items: NDArray[np.integer],
) -> Mapping[str, Influence]:
    """The influence of the entries by name of the part, or of the model if it has no parts.

    The history is scored again without each entry.

    Args:
        history: (1, n_items) float32.
        times: Unix seconds with the sparsity of `history`.
        entries: (n_entries,) positions in `history.indices`, unique.
        items: (n_items,) indices of items with a score.
    """
    if isinstance(recommender, Composite):
        by_part = recommender.parts_without(history, entries, times)
        shape = (1 + len(entries), history.shape[1])
        whole = recommender.blended_from(by_part, shape=shape, items=items).scores
    else:
        scores = recommender.scores_without(history, entries, times)
        by_part, whole = {recommender.name: scores}, scores[:, items]
    falls = _falls(whole) > 0
    return {
        name: Influence(np.where(falls, _falls(scores[:, items]), 0), _fits(scores[0], items))
        for name, scores in by_part.items()
    }


def _falls(scores: Scores) -> NDArray[np.float64]:
    """(n_items, n_entries) from (1 + n_entries, n_items) scores; 0 where a score does not fall."""
    before, after = scores[0].astype(np.float64), scores[1:].astype(np.float64)
    falls = np.where(np.isnan(after) & ~np.isnan(before), GONE, before - after)
    least = ROUNDING * np.fmax.reduce(np.abs(before), initial=0.0)
    return np.where(falls > least, falls, 0).T


def _fits(scores: Scores, items: NDArray[np.integer]) -> NDArray[np.bool_]:
    known = scores[~np.isnan(scores)]
    fits: NDArray[np.bool_] = scores[items] > (known.mean() if len(known) else 0)
    return fits


def candidate_entries(
    part: Recommender, history: csr_matrix, times: csr_matrix, items: NDArray[np.integer]
) -> list[list[int]]:
    """For each item, the liked entries that may have raised its score, the likeliest first.

    A contribution to a score is not its fall without the entry, because the other entries would
    then count more. So these entries still have to be tested with `influences`.
    """
    liked = history.data > 0
    parts = part.contributions(history, items)
    if parts is None:
        order = np.argsort(-times.data, kind="stable")
        return [order[liked[order]][:NEWEST].tolist()] * len(items)
    return strongest_entries(np.where(liked, parts, 0), at_most=LOOKED_AT, least_share=0)


def entries_to_test(rows: Iterable[list[int]]) -> list[int]:
    """At most MOST_ENTRIES entries: the first of each row, then the second ones, and so on."""
    in_turn = chain.from_iterable(zip_longest(*rows))
    distinct = dict.fromkeys(entry for entry in in_turn if entry is not None)
    return list(distinct)[:MOST_ENTRIES]


def strongest_entries(
    contributions: NDArray[np.float64], *, at_most: int, least_share: float = LEAST_SHARE
) -> list[list[int]]:
    """For each item, the entries of the history that raise its score most, the strongest first.

    Args:
        contributions: (n_items, n_entries), as from `Recommender.contributions`.
        least_share: A contribution must exceed this share of the strongest one.
    """
    n_items, n_entries = contributions.shape
    n = min(at_most, n_entries)
    if not n:
        return [[] for _ in range(n_items)]
    top = np.sort(np.argpartition(-contributions, n - 1, axis=1)[:, :n], axis=1)
    parts = np.take_along_axis(contributions, top, axis=1)
    order = np.argsort(-parts, axis=1, kind="stable")
    top, parts = np.take_along_axis(top, order, axis=1), np.take_along_axis(parts, order, axis=1)
    counts = parts > np.maximum(parts[:, :1] * least_share, 0)
    return [row[kept].tolist() for row, kept in zip(top, counts, strict=True)]
