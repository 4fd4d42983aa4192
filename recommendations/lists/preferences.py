"""What viewers say to like, as scores and reasons of films: also of those that no release knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from django.utils.translation import get_language_info
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from movies.models import Movie
from recommendations.engine.ids import IdMap, values_at
from recommendations.engine.preferring import preference_scores, shares_below
from recommendations.engine.protocol import Scores
from recommendations.lists.reasons import Reason, in_words
from recommendations.loading import LoadedRelease
from users.preferences.selectors import StatedPreferences

PREFERENCES = "preferences"


@dataclass(frozen=True, eq=False)
class Traits:
    """What all published films are of; rows are `films`.

    Attributes:
        genres: (n_films, n_genres) float32 of ones; columns are `genre_ids`.
        languages: (n_films,) int32, places in `codes`.
        codes: In lower case; the empty one for films without a language.
        rankings: (n_films,) float32.
    """

    films: IdMap
    genre_ids: IdMap
    genres: csr_matrix
    languages: NDArray[np.int32]
    codes: Sequence[str]
    rankings: NDArray[np.float32]


def score_by_preferences(
    stated: StatedPreferences,
    movie_ids: NDArray[np.int64],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> Scores:
    """(n,) float32 for the films of these ids; NaN for those that have nothing of it."""
    traits = _traits(snapshot)
    columns = traits.genre_ids.indices([genre.pk for genre in stated.genres])
    spoken = np.array([_is_wanted(code, stated.languages) for code in traits.codes], dtype=bool)
    scores = preference_scores(
        traits.genres,
        wanted_genres=columns[columns >= 0],
        in_wanted_language=spoken[traits.languages],
        standing=_standing(snapshot, release),
    )
    return values_at(traits.films.indices(movie_ids), scores)


def reasons_by_preferences(
    stated: StatedPreferences, movie_id: int, snapshot: Snapshot
) -> list[Reason]:
    """What of it the film has, in words."""
    traits = _traits(snapshot)
    row = int(traits.films.indices([movie_id])[0])
    of_film = slice(traits.genres.indptr[row], traits.genres.indptr[row + 1])
    own = set(traits.genre_ids.ids[traits.genres.indices[of_film]].tolist())
    names = [genre.name for genre in stated.genres if genre.pk in own]
    code = traits.codes[traits.languages[row]]
    said = [f"You like {in_words(names)}"] if names else []
    if _is_wanted(code, stated.languages):
        said.append(f"You like films in {_language_name(code)}")
    return [Reason("preference", text) for text in said]


@lru_cache(maxsize=2)
def _traits(snapshot: Snapshot) -> Traits:
    """Of the films as they are while the snapshot stands; read by the first who asks."""
    columns = ("pk", "genre_ids", "original_language", "ranking")
    films = list(Movie.objects.published().order_by("pk").values_list(*columns))
    of_each = [film[1] for film in films]
    flat = np.fromiter(chain.from_iterable(of_each), dtype=np.int64)
    genre_ids = IdMap(np.unique(flat))
    ones, indices = np.ones(len(flat), dtype=np.float32), genre_ids.indices(flat)
    starts = np.cumsum([0, *map(len, of_each)])
    codes = sorted({(film[2] or "").lower() for film in films})
    places = {code: place for place, code in enumerate(codes)}
    return Traits(
        films=IdMap(np.array([film[0] for film in films], dtype=np.int64)),
        genre_ids=genre_ids,
        genres=csr_matrix((ones, indices, starts), shape=(len(films), len(genre_ids))),
        languages=np.array([places[(film[2] or "").lower()] for film in films], dtype=np.int32),
        codes=codes,
        rankings=np.array([film[3] for film in films], dtype=np.float32),
    )


@lru_cache(maxsize=2)
def _standing(snapshot: Snapshot, release: LoadedRelease) -> Scores:
    """(n_films,) from 0 to 1: by popularity, and for what has none by ranking.

    Each among its like: so a new film that many wait for stands beside a popular old one.
    """
    traits = _traits(snapshot)
    standing = np.full(len(traits.films), np.nan, dtype=np.float32)
    if (popularity := release.recommenders.get("popularity")) is not None:
        nobody = csr_matrix(np.zeros((1, len(release.items)), dtype=np.float32))
        items = release.items.indices(traits.films.ids)
        standing = values_at(items, popularity.score(nobody)[0])
    is_known = ~np.isnan(standing)
    standing[is_known] = shares_below(standing[is_known])
    standing[~is_known] = shares_below(traits.rankings[~is_known])
    return standing


def _is_wanted(code: str, languages: Sequence[str]) -> bool:
    """Portuguese includes that of Brazil, and not the other way round."""
    return any(f"{code}-".startswith(f"{wanted.lower()}-") for wanted in languages)


def _language_name(code: str) -> str:
    try:
        return str(get_language_info(code)["name"])
    except KeyError:
        return code
