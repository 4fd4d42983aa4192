"""How much a viewer will like a film, from 0 to 100, by what viewers of similar taste say of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from django.contrib.auth.base_user import AbstractBaseUser

from movies.similarity_scores import SimilarityScores
from recommendations.dataset import load_ratings
from recommendations.engine.rating_predictor import RatingPredictor, Taste, as_percent
from recommendations.releases import LoadedRelease, loaded_release
from users.models import User

#: Of viewers whom this process was asked for last. A taste is a number for each viewer of the
#: release: with 100,000 of them 80 tastes are kept, with a thousand as many as COUNT allows.
KEPT_BYTES = 32 * 1024 * 1024
KEPT_COUNT = 4096

#: A viewer, the version of the viewer's taste, and the release that it is held against.
Key = tuple[int, int, int | None]


@dataclass
class _Tastes:
    """The latest of them, by viewer: a change of taste, or a release, ends the one that stands."""

    _by_viewer: OrderedDict[int, tuple[Key, Taste | None]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _bytes: int = 0

    def get(self, key: Key, make: Callable[[], Taste | None]) -> Taste | None:
        with self._lock:
            standing = self._by_viewer.get(key[0])
            if standing and standing[0] == key:
                self._by_viewer.move_to_end(key[0])
                return standing[1]
        taste = make()
        with self._lock:
            self._drop(key[0])
            self._by_viewer[key[0]] = key, taste
            self._bytes += _size(taste)
            while self._bytes > KEPT_BYTES or len(self._by_viewer) > KEPT_COUNT:
                self._drop(next(iter(self._by_viewer)))
        return taste

    def _drop(self, viewer: int) -> None:
        if dropped := self._by_viewer.pop(viewer, None):
            self._bytes -= _size(dropped[1])

    def forget(self) -> None:
        with self._lock:
            self._by_viewer.clear()
            self._bytes = 0


def _size(taste: Taste | None) -> int:
    return taste.likeness.nbytes if taste else 0


_tastes = _Tastes()
forget_tastes = _tastes.forget


def scores_for(viewer: AbstractBaseUser) -> SimilarityScores:
    """The viewer's scores by the current release; registered with `movies.similarity_scores`."""
    return scores_by(loaded_release(), viewer)


def scores_by(release: LoadedRelease, viewer: AbstractBaseUser) -> SimilarityScores:
    """The viewer's scores by this release.

    The viewer's `taste_version` came with the viewer, before the ratings are read: a taste can
    only be newer than it says, never older.
    """
    if release.predictor is None or not isinstance(viewer, User):
        return _nothing
    key = viewer.pk, viewer.taste_version, release.id
    taste = _tastes.get(key, partial(_taste_of, viewer.pk, release, release.predictor))
    return partial(_scores, release, release.predictor, taste) if taste else _nothing


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


def _nothing(movie_ids: Sequence[int]) -> dict[int, int]:
    return {}
