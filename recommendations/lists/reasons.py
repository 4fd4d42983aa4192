"""Why a movie stands in a list, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from movies.languages import language_name
from movies.models import Movie
from recommendations.content_similarity import CONTENT, Reason, join_words
from recommendations.dataset import Evidence, weight_table
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.ranking.explanations import Explainers, Explanation
from recommendations.lists.item_features import (
    CatalogueFeatures,
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.scores import POPULARITY
from recommendations.releases import LoadedRelease
from recommendations.selectors import UNKNOWN_PEOPLE, is_licensed
from users.preferences import StatedPreferences

REASONS_EACH = 2
#: The most shared names in one reason.
NAMES_LISTED = 2
#: Fewer viewers are not "many", however few watch anything here.
MANY_VIEWERS = 3
#: By field how a shared value is put; the field that says most comes first.
SHARED_WORDS = {
    "directors": "also by",
    "protagonists": "also with",
    "keywords": "also about",
    "genres": "also",
}


NEW = Reason("new", "New here")
SHOWING = Reason("showing", "Showing soon")
POPULAR = Reason("popular", "Many viewers here like it")
LIKED_HERE = Reason("popular", "Liked here")
STAFF = Reason("staff", "The cinema recommends it")
FITS = Reason("taste", "Fits what you have liked")


def reasons_by_preferences(
    stated: StatedPreferences, movie_id: int, snapshot: Snapshot
) -> list[Reason]:
    """The stated preferences that the movie matches."""
    features = catalogue_features(snapshot)
    row = int(features.movies.indices([movie_id])[0])
    if row < 0:  # withdrawn since the list was begun
        return []
    columns = features.genres.indices[slice(*features.genres.indptr[row : row + 2])]
    own = set(features.genre_ids.ids[columns].tolist())
    names = [genre.name for genre in stated.genres if genre.pk in own]
    code = features.codes[features.languages[row]]
    texts = [f"You like {join_words(names)}"] if names else []
    if is_wanted_language(code, stated.languages):
        texts.append(f"You like films in {language_name(code)}")
    return [Reason("preference", text) for text in texts]


# --- explanations by models


def explain(
    explainers: Explainers,
    items: NDArray[np.integer],
    parts: Sequence[str],
    kinds: NDArray[np.integer],
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """For each movie the viewer's movies without which its score would be lower.

    Without such movies, a feature that it shares with one of them; else that it fits, or that
    others like it, where that is true. If popularity did most, the first reason is that others like
    it, and the viewer's movies follow.

    Args:
        items: (n,) the movies' columns in the release.
        parts: For each movie the part of the model that did most for its score.
        kinds: (n_entries,) `Evidence` of the viewer's history.
    """
    popular = _by_popularity(release, items)
    names = HistoryNames(explainers, kinds, release, snapshot)
    personal = [
        explainers.personal_part(item, part)
        for item, part in zip(items.tolist(), parts, strict=True)
    ]
    found = explainers.explain(items, personal, usable=names.is_published, n=REASONS_EACH)
    if not found:
        return popular
    movies = release.items.ids[items].tolist()
    compared = [_compared(each) for each in found]
    words = shared_feature_words(
        {
            (movie, names.movie_id(e))
            for movie, some in zip(movies, compared, strict=True)
            for e in some
        },
        snapshot,
    )
    reasons: list[list[Reason]] = []
    for movie, part, each, some, others in zip(
        movies, parts, found, compared, popular, strict=True
    ):
        shared = {entry: words[movie, names.movie_id(entry)] for entry in some}
        by_history = _by_history(each, names, shared)
        if part != each.part:
            named = by_history if each.strongest else []
            reasons.append([*others, *named][:REASONS_EACH])
        else:
            reasons.append(by_history or ([FITS] if each.fits else others))
    return reasons


def _compared(explanation: Explanation) -> Sequence[int]:
    """The entries whose shared features may be named; by content alone the strongest one."""
    if not explanation.strongest:
        return explanation.likely
    return explanation.strongest[:1] if explanation.part == CONTENT else ()


def _by_history(
    explanation: Explanation, names: HistoryNames, shared: Mapping[int, str]
) -> list[Reason]:
    """`shared` has by entry the words for the shared features; empty for none."""
    if explanation.part == CONTENT and explanation.strongest:
        return [names.because(entry, words) for entry, words in shared.items()]
    if explanation.strongest:
        return [names.because(entry) for entry in explanation.strongest]
    return [names.like(entry, words) for entry, words in shared.items() if words][:1]


def _by_popularity(release: LoadedRelease, items: NDArray[np.integer]) -> list[list[Reason]]:
    """More viewers than the mean number are "many"."""
    popularity = release.recommenders.get(POPULARITY)
    if not isinstance(popularity, PopularityRecommender):
        return [[] for _ in items]
    many = max(MANY_VIEWERS, popularity.mean_liked_by)
    return [
        [POPULAR] if number >= many else [LIKED_HERE] if number else []
        for number in popularity.liked_by[items].tolist()
    ]


class HistoryNames:
    """The names of movies in one viewer's history, by entry; unpublished movies have none."""

    def __init__(
        self,
        explainers: Explainers,
        kinds: NDArray[np.integer],
        release: LoadedRelease,
        snapshot: Snapshot,
    ) -> None:
        self._weights, self._kinds = explainers.weights, kinds
        self._features = catalogue_features(snapshot)
        self._rows = self._features.movies.indices(release.items.ids[explainers.history])
        self.is_published = self._rows >= 0
        self._reasons: dict[tuple[int, str], Reason] = {}

    def movie_id(self, entry: int) -> int:
        return int(self._features.movies.ids[self._rows[entry]])

    def _name(self, entry: int) -> str:
        return self._features.names[int(self._rows[entry])]

    def because(self, entry: int, shared: str = "") -> Reason:
        found = self._reasons.get((entry, shared))
        if found is None:
            kind, text = self._because(self._name(entry), entry)
            found = Reason(kind, f"{text}: {shared}" if shared else text, self.movie_id(entry))
            self._reasons[entry, shared] = found
        return found

    def _because(self, name: str, entry: int) -> tuple[str, str]:
        """A viewer who only marked a movie as seen need not have liked it."""
        evidence = int(self._kinds[entry])
        if evidence == Evidence.CHECK_IN:
            return "watched", f"Because you watched {name} here"
        if evidence == Evidence.FAVOURITE:
            return "favourite", f"Because {name} is a favourite of yours"
        if self._weights[entry] > weight_table()[Evidence.SEEN, 0]:
            return "liked", f"Because you liked {name}"
        return "seen", f"Because you saw {name}"

    def like(self, entry: int, shared: str) -> Reason:
        text = f"{shared[0].upper()}{shared[1:]}, like {self._name(entry)}"
        return Reason("shared", text, self.movie_id(entry))


# --- shared features

#: By field the names, in the movie's own order.
FeatureNames = Mapping[str, Sequence[str]]


def shared_feature_words(
    pairs: Iterable[tuple[int, int]], snapshot: Snapshot
) -> dict[tuple[int, int], str]:
    """The shared feature of two movies by their ids, as "also with Anna Karina"; empty for none."""
    wanted = set(pairs)
    names = _feature_names(catalogue_features(snapshot))
    if missing := {pk for pair in wanted for pk in pair} - names.keys():
        movies = Movie.objects.filter(pk__in=missing).prefetch_related("genres")
        names.update((movie.pk, _feature_names_of(movie)) for movie in movies)
    return {(one, two): _shared(names.get(one, {}), names.get(two, {})) for one, two in wanted}


@lru_cache(maxsize=2)
def _feature_names(features: CatalogueFeatures) -> dict[int, FeatureNames]:
    """The movies that were asked for since these features were read."""
    return {}


def _feature_names_of(movie: Movie) -> FeatureNames:
    """TMDb's terms keep the fields out that TMDb filled, unless the settings allow them."""
    names: FeatureNames = {
        "directors": movie.directors,
        "protagonists": [one for one in movie.protagonists if one not in UNKNOWN_PEOPLE],
        "keywords": movie.keywords,
        "genres": [genre.name for genre in movie.genres.all()],
    }
    return {field: of for field, of in names.items() if is_licensed(field, movie.tmdb_fields)}


def _shared(one: FeatureNames, two: FeatureNames) -> str:
    for field, words in SHARED_WORDS.items():
        if names := [name for name in one.get(field, ()) if name in two.get(field, ())]:
            return f"{words} {join_words(names[:NAMES_LISTED])}"
    return ""
