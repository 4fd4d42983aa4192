"""What a viewer has said to like, before anything is known of what the viewer does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.protocol import Scores

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


def shares_below(values: Scores) -> Scores:
    """(n,) float32: the share of all values that each is above, from 0 to below 1.

    So figures of different kinds can stand beside each other.
    """
    below = np.searchsorted(np.sort(values), values, side="left")
    return (below / max(len(values), 1)).astype(np.float32)
