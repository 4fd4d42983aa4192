"""From scores to candidates: the best items, fallbacks, and what stated preferences say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores

#: Beside 1 for each genre: the language alone ranks below any genre, and the standing only decides
#: between films that match equally well.
LANGUAGE = 0.5
STANDING = 0.49


@dataclass(frozen=True)
class Ranked:
    """An item in a ranking, and the model that placed it there."""

    item: int
    score: float
    source: str


def top_items(scores: Scores, *, exclude: NDArray[np.integer], k: int) -> NDArray[np.intp]:
    """The k best of (n_items,) scores, the best first, without NaN and without `exclude`."""
    usable = np.where(np.isnan(scores), -np.inf, scores)
    usable[exclude] = -np.inf
    k = min(k, len(usable))
    candidates = np.argpartition(-usable, k - 1)[:k] if k else np.empty(0, dtype=np.intp)
    ordered = candidates[np.lexsort((candidates, -usable[candidates]))]
    return ordered[np.isfinite(usable[ordered])]


def rank_with_fallback(
    scores: Iterable[tuple[str, Scores]],
    *,
    candidates: NDArray[np.bool_],
    n: int,
    pool: int | None = None,
) -> list[Ranked]:
    """Rank by the first model; append what only the next model scores; and so on.

    Args:
        scores: The name and the (n_items,) scores of each model, the most trusted first; NaN for
            no opinion. The next model is read only while fewer than n items are ranked.
        candidates: (n_items,) the items that may be listed.
        pool: Take up to so many (n or more) from the models that are read.
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


def preference_scores(
    genres: csr_matrix,
    *,
    wanted_genres: NDArray[np.integer],
    in_wanted_language: NDArray[np.bool_],
    standing: Scores,
) -> Scores:
    """Score films by stated preferences: by matching genres, then language, then standing.

    Args:
        genres: (n_films, n_genres) 1 where the film has the genre.
        wanted_genres: Columns of `genres`.
        in_wanted_language: (n_films,)
        standing: (n_films,) 0 to 1, as from `percentile_ranks`.

    Returns:
        (n_films,) float32 above 0; NaN for a film that matches nothing.
    """
    wanted = np.zeros(genres.shape[1], dtype=np.float32)
    wanted[wanted_genres] = 1
    found = genres @ wanted + LANGUAGE * in_wanted_language
    scores = found + STANDING * standing
    return np.where(found > 0, scores, np.nan).astype(np.float32)


def percentile_ranks(values: Scores) -> Scores:
    """(n,) float32 from 0 to below 1: the share of values below each, to compare unlike figures."""
    below = np.searchsorted(np.sort(values), values, side="left")
    return (below / max(len(values), 1)).astype(np.float32)
