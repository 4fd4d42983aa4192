"""Adjusts the order of a list by the viewer's dislikes and by the genres of their likes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.dataset import History
from recommendations.engine.ranking.calibration import calibrate, genre_shares, genre_tastes
from recommendations.lists.item_features import CatalogueFeatures
from recommendations.releases import LoadedRelease

#: The relevance, beside 1 for the most popular film, that the film gains which viewers with the
#: same dislikes like most.
BY_DISLIKES = 1.0
#: The latest dislikes that are compared.
MAX_DISLIKES = 100


def gains_by_dislikes(
    release: LoadedRelease, items: NDArray[np.integer], histories: Sequence[History]
) -> NDArray[np.float64]:
    """Compute a bonus for films that are liked by viewers who dislike the same as this viewer.

    Only for a viewer without likes, whose list would be that of popularity. With the first like
    the models know more.

    Args:
        items: (n_viewers, m) columns in the release; -1 for a film that it does not know.
        histories: Of the viewers.

    Returns:
        (n_viewers, m) from 0 to BY_DISLIKES.
    """
    found = np.zeros(items.shape)
    for row, history in enumerate(histories):
        if release.deviations is None or (history.weights > 0).any():
            continue
        disliked = np.flatnonzero(history.weights < 0)
        latest = disliked[np.argsort(-history.seconds[disliked], kind="stable")[:MAX_DISLIKES]]
        columns = release.items.indices(history.movie_ids[latest])
        if len(columns := columns[columns >= 0]):
            likes = release.deviations.likes_by_dislikes(columns, items[row])
            span = np.ptp(likes) if len(likes) else 0.0
            found[row] = BY_DISLIKES * (likes - likes.min(initial=0)) / max(span, 1.0)
    return found


def order_calibrated(
    relevance: NDArray[np.float64],
    features: CatalogueFeatures,
    rows: NDArray[np.integer],
    histories: Sequence[History],
    order: NDArray[np.intp],
    *,
    tiers: NDArray[np.integer],
) -> NDArray[np.intp]:
    """As `calibrate`, by the genres of the viewers' likes; a viewer without any keeps the order.

    Args:
        rows: (n_viewers, m) rows of the features; -1 for an unknown film.
        order: (n_viewers, n) the order of the others.
    """
    shares = _shares(features)
    liked = [features.movies.indices(each.movie_ids[each.weights > 0]) for each in histories]
    flat = np.concatenate(liked)
    starts = np.cumsum([0, *map(len, liked)])
    shape = len(liked), shares.shape[0]
    likes = csr_matrix((np.ones(len(flat)), flat % shape[1], starts), shape=shape)
    wanted = genre_tastes(likes, shares)
    known = ~np.isnan(wanted).any(axis=1)
    found = order.copy()
    of_rows = (shares[row].toarray() for row in rows[known])
    found[known] = calibrate(
        relevance[known], of_rows, wanted[known], tiers=tiers[known], n=order.shape[1]
    )
    return found


@lru_cache(maxsize=2)
def _shares(features: CatalogueFeatures) -> csr_matrix:
    """(n_movies + 1, n_genres) as from `genre_shares`; the last row is for an unknown film."""
    shares = genre_shares(features.genres)
    starts = np.append(shares.indptr, shares.indptr[-1])
    shape = shares.shape[0] + 1, shares.shape[1]
    return csr_matrix((shares.data, shares.indices, starts), shape=shape)
