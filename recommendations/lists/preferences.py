"""What viewers say to like, as scores and reasons of films: also of those that no release knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from movies.languages import is_within, name_of
from recommendations.engine.ids import values_at
from recommendations.engine.preferring import preference_scores, shares_below
from recommendations.engine.protocol import Scores
from recommendations.lists.reasons import Reason, in_words
from recommendations.lists.traits import Traits, traits_of
from recommendations.loading import LoadedRelease
from users.preferences.selectors import StatedPreferences

PREFERENCES = "preferences"


def score_by_preferences(
    stated: StatedPreferences,
    movie_ids: NDArray[np.int64],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> Scores:
    """(n,) float32 for the films of these ids; NaN for those that have nothing of it."""
    traits = traits_of(snapshot)
    columns = traits.genre_ids.indices([genre.pk for genre in stated.genres])
    spoken = np.array([_is_wanted(code, stated.languages) for code in traits.codes], dtype=bool)
    scores = preference_scores(
        traits.genres,
        wanted_genres=columns[columns >= 0],
        in_wanted_language=spoken[traits.languages],
        standing=_standing(traits, release),
    )
    return values_at(traits.films.indices(movie_ids), scores)


def reasons_by_preferences(
    stated: StatedPreferences, movie_id: int, snapshot: Snapshot
) -> list[Reason]:
    """What of it the film has, in words."""
    traits = traits_of(snapshot)
    row = int(traits.films.indices([movie_id])[0])
    of_film = slice(traits.genres.indptr[row], traits.genres.indptr[row + 1])
    own = set(traits.genre_ids.ids[traits.genres.indices[of_film]].tolist())
    names = [genre.name for genre in stated.genres if genre.pk in own]
    code = traits.codes[traits.languages[row]]
    said = [f"You like {in_words(names)}"] if names else []
    if _is_wanted(code, stated.languages):
        said.append(f"You like films in {name_of(code)}")
    return [Reason("preference", text) for text in said]


@lru_cache(maxsize=2)
def _standing(traits: Traits, release: LoadedRelease) -> Scores:
    """(n_films,) from 0 to 1: by popularity, and for what has none by ranking.

    Each among its like: so a new film that many wait for stands beside a popular old one.
    """
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
    return any(is_within(code, wanted) for wanted in languages)
