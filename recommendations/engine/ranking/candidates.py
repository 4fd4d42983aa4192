"""From the scores of several models to one order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores


def top_items(scores: Scores, *, exclude: NDArray[np.integer], k: int) -> NDArray[np.intp]:
    """The k best of (n_items,) scores in order, without NaN and without `exclude`."""
    usable = np.where(np.isnan(scores), -np.inf, scores)
    usable[exclude] = -np.inf
    k = min(k, len(usable))
    candidates = np.argpartition(-usable, k - 1)[:k] if k else np.empty(0, dtype=np.intp)
    ordered = candidates[np.lexsort((candidates, -usable[candidates]))]
    return ordered[np.isfinite(usable[ordered])]


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


#: Beside 1 for each genre: a language alone stands behind every genre, and the standing decides
#: between films that have as much in common with the viewer.
LANGUAGE = 0.5
STANDING = 0.49


def preference_scores(
    genres: csr_matrix,
    *,
    wanted_genres: NDArray[np.integer],
    in_wanted_language: NDArray[np.bool_],
    standing: Scores,
) -> Scores:
    """How much each film has of what is wanted: genres, then the language, then its standing.

    Args:
        genres: (n_films, n_genres) 1 where the film is of the genre.
        wanted_genres: Columns.
        in_wanted_language: (n_films,)
        standing: (n_films,) 0 to 1, as from `shares_below`.

    Returns:
        (n_films,) float32, above 0; NaN for a film that has nothing of it.
    """
    wanted = np.zeros(genres.shape[1], dtype=np.float32)
    wanted[wanted_genres] = 1
    found = genres @ wanted + LANGUAGE * in_wanted_language
    scores = found + STANDING * standing
    return np.where(found > 0, scores, np.nan).astype(np.float32)


def percentile_ranks(values: Scores) -> Scores:
    """(n,) float32: the share of all values that each is above, from 0 to below 1.

    So figures of different kinds can stand beside each other.
    """
    below = np.searchsorted(np.sort(values), values, side="left")
    return (below / max(len(values), 1)).astype(np.float32)
