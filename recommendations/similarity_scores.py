"""Similarity scores: how much a viewer will like a movie, from 0 to 100."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from cachetools import LRUCache
from django.contrib.auth.base_user import AbstractBaseUser

from movies.similarity_scores import SimilarityScores
from recommendations.dataset import load_ratings
from recommendations.engine.rating_predictor import RatingPredictor, Taste, as_percent
from recommendations.releases import LoadedRelease, loaded_release
from users.models import User

#: Memory for the tastes of viewers. A taste has a number for each viewer of the release: with
#: 100,000 viewers there is room for 80 tastes, and never for more than 4096.
KEPT_BYTES = 32 * 1024 * 1024
MIN_BYTES = KEPT_BYTES // 4096

#: The viewer's id, their `taste_version`, and the release.
Key = tuple[int, int, int | None]


def _size(entry: tuple[Key, Taste | None]) -> int:
    return max(MIN_BYTES, entry[1].likeness.nbytes if entry[1] else 0)


#: The tastes by viewer. A new taste version or a new release replaces the entry.
_tastes: LRUCache[int, tuple[Key, Taste | None]] = LRUCache(KEPT_BYTES, getsizeof=_size)
_lock = threading.Lock()


def forget_tastes() -> None:
    with _lock:
        _tastes.clear()


def _cached_taste(key: Key, make: Callable[[], Taste | None]) -> Taste | None:
    with _lock:
        cached = _tastes.get(key[0])
    if cached and cached[0] == key:
        return cached[1]
    taste = make()
    with _lock, suppress(ValueError):  # a taste that is larger than the cache
        _tastes[key[0]] = key, taste
    return taste


def scores_for(viewer: AbstractBaseUser) -> SimilarityScores:
    """The viewer's scores by the loaded release and their present ratings.

    `movies.similarity_scores` has this function registered.
    """
    return scores_by(loaded_release(), viewer)


def scores_by(release: LoadedRelease, viewer: AbstractBaseUser) -> SimilarityScores:
    """The viewer's scores by this release.

    The `taste_version` was read with the viewer, before the ratings: a cached taste can be newer
    than its version, never older.
    """
    if release.predictor is None or not isinstance(viewer, User):
        return _no_scores
    key = viewer.pk, viewer.taste_version, release.id
    taste = _cached_taste(key, partial(_taste_of, viewer.pk, release, release.predictor))
    return partial(_scores, release, release.predictor, taste) if taste else _no_scores


def _taste_of(user_id: int, release: LoadedRelease, predictor: RatingPredictor) -> Taste | None:
    movie_ids, half_stars = load_ratings(user_id)
    items = release.items.indices(movie_ids)
    known = items >= 0
    [own] = release.users.indices([user_id]).tolist()
    besides = own if own >= 0 else None
    return predictor.taste_of(items[known], half_stars[known], besides=besides)


def _scores(
    release: LoadedRelease, predictor: RatingPredictor, taste: Taste, movie_ids: Sequence[int]
) -> dict[int, int]:
    asked = np.array(movie_ids, dtype=np.int64)
    items = release.items.indices(asked)
    known = items >= 0
    percents = as_percent(predictor.predict(taste, items[known]))
    found = zip(asked[known].tolist(), percents.tolist(), strict=True)
    return {movie_id: int(percent) for movie_id, percent in found if percent == percent}


def _no_scores(movie_ids: Sequence[int]) -> dict[int, int]:
    return {}
