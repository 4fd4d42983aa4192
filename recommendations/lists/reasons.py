"""Why a movie stands in a list, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from movies.catalogue import Snapshot
from movies.languages import language_name
from movies.models import Movie
from recommendations.content_similarity import CONTENT, Reason, join_words
from recommendations.dataset import Evidence, weight_table
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.ranking.explanations import (
    candidate_entries,
    entries_to_test,
    influences,
    strongest_entries,
)
from recommendations.engine.recommender import Recommender
from recommendations.lists.item_features import catalogue_features, is_wanted_language
from recommendations.lists.scores import POPULARITY, HistoryMatrices
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
    columns = features.genres.indices[slice(*features.genres.indptr[row : row + 2])]
    own = set(features.genre_ids.ids[columns].tolist())
    names = [genre.name for genre in stated.genres if genre.pk in own]
    code = features.codes[features.languages[row]]
    texts = [f"You like {join_words(names)}"] if names else []
    if is_wanted_language(code, stated.languages):
        texts.append(f"You like films in {language_name(code)}")
    return [Reason("preference", text) for text in texts]


# --- explanations by models


@dataclass(frozen=True)
class ScoreOrigin:
    """The model that put a movie into a list.

    Attributes:
        part: The part of the model that did most for the score, or the model itself.
        item: The movie's column in the release.
    """

    model: Recommender
    part: Recommender
    item: int


@dataclass(frozen=True)
class TestedItem:
    """How a movie's score changes without single entries of the viewer's history.

    Attributes:
        likely: The entries that may have raised the score.
        strongest: Those that did, at most REASONS_EACH.
        fits: Whether the part scores the movie above its mean.
    """

    origin: ScoreOrigin
    likely: Sequence[int]
    strongest: Sequence[int]
    fits: bool

    @property
    def compared(self) -> Sequence[int]:
        """The entries whose shared features may be named."""
        if not self.strongest:
            return self.likely
        return self.strongest if self.origin.part.name == CONTENT else ()


def explain(
    origins: Sequence[ScoreOrigin | None],
    past: HistoryMatrices,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """For each movie the viewer's movies without which its score would be lower.

    Without such movies, a feature that it shares with one of them; else that it fits, or that
    others like it, where that is true.

    Args:
        origins: None for a movie that no model put there.
        past: (1, n_items) each.
    """
    reasons: list[list[Reason]] = [[] for _ in origins]
    by_model: dict[int, dict[int, ScoreOrigin]] = {}
    for index, origin in enumerate(origins):
        if origin is not None:
            by_model.setdefault(id(origin.model), {})[index] = origin
    for group in by_model.values():
        found = _explain_model(list(group.values()), past, release, snapshot)
        for index, why in zip(group, found, strict=True):
            reasons[index] = why
    return reasons


def _explain_model(
    origins: Sequence[ScoreOrigin],
    past: HistoryMatrices,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """The reasons of movies that one model put there."""
    popular = _by_popularity(release, [origin.item for origin in origins])
    if not any(origin.part.is_personal for origin in origins):
        return popular
    likely = _likely_entries(origins, past)
    names = HistoryNames(past, release, snapshot, entries_to_test(likely))
    tested = _test_items(origins, likely, list(names.movie_ids), past)
    movies = [int(release.items.ids[each.origin.item]) for each in tested]
    compared = {
        (movie, names.movie_ids[entry])
        for movie, each in zip(movies, tested, strict=True)
        for entry in each.compared
    }
    shared = shared_feature_words(compared, snapshot)
    return [
        _by_history(each, names, {e: shared[movie, names.movie_ids[e]] for e in each.compared})
        or ([FITS] if each.fits else others)
        for movie, each, others in zip(movies, tested, popular, strict=True)
    ]


def _by_history(tested: TestedItem, names: HistoryNames, shared: Mapping[int, str]) -> list[Reason]:
    """`shared` has by entry the words for the shared features; empty for none."""
    if tested.strongest:
        return [names.because(entry, shared.get(entry, "")) for entry in tested.strongest]
    return [names.like(entry, words) for entry, words in shared.items() if words][:1]


def _likely_entries(origins: Sequence[ScoreOrigin], past: HistoryMatrices) -> list[list[int]]:
    likely: list[list[int]] = [[] for _ in origins]
    for part, indices in _by_part(origins).values():
        if part.is_personal:
            items = np.array([origins[index].item for index in indices])
            rows = candidate_entries(part, past.weights, past.times, items)
            for index, entries in zip(indices, rows, strict=True):
                likely[index] = entries
    return likely


def _test_items(
    origins: Sequence[ScoreOrigin],
    likely: Sequence[Sequence[int]],
    named: Sequence[int],
    past: HistoryMatrices,
) -> list[TestedItem]:
    """Leave out each of the `named` entries; `likely` has the entries by origin."""
    entries = np.array(named, dtype=np.intp)
    items = np.array([origin.item for origin in origins])
    model = origins[0].model
    by_part = influences(model, past.weights, past.times, entries=entries, items=items)
    tested: dict[int, TestedItem] = {}
    for name, (_, indices) in _by_part(origins).items():
        influence = by_part[name]
        at_most = 1 if name == CONTENT else REASONS_EACH
        found = strongest_entries(influence.falls[indices], at_most=at_most)
        for index, row in zip(indices, found, strict=True):
            tested[index] = TestedItem(
                origins[index],
                [entry for entry in likely[index] if entry in named],
                entries[row].tolist(),
                bool(influence.fits[index]) and origins[index].part.is_personal,
            )
    return [tested[index] for index in range(len(origins))]


def _by_part(origins: Sequence[ScoreOrigin]) -> dict[str, tuple[Recommender, list[int]]]:
    """Each part by its name, with the indices of the origins that have it."""
    parts: dict[str, tuple[Recommender, list[int]]] = {}
    for index, origin in enumerate(origins):
        parts.setdefault(origin.part.name, (origin.part, []))[1].append(index)
    return parts


def _by_popularity(release: LoadedRelease, items: Sequence[int]) -> list[list[Reason]]:
    """More viewers than the mean number are "many"."""
    popularity = release.recommenders.get(POPULARITY)
    if not isinstance(popularity, PopularityRecommender):
        return [[] for _ in items]
    liked_by = popularity.liked_by
    many = max(MANY_VIEWERS, liked_by[liked_by > 0].mean()) if liked_by.any() else MANY_VIEWERS
    return [
        [POPULAR] if number >= many else [LIKED_HERE] if number else []
        for number in liked_by[items].tolist()
    ]


class HistoryNames:
    """The names of movies in one viewer's history, by entry; unpublished movies have none."""

    def __init__(
        self,
        past: HistoryMatrices,
        release: LoadedRelease,
        snapshot: Snapshot,
        entries: Iterable[int],
    ) -> None:
        self._past = past
        ids = release.items.ids[past.weights.indices]
        movie_ids = {entry: int(ids[entry]) for entry in entries}
        cards = snapshot.cards(movie_ids.values())
        self.movie_ids = {entry: pk for entry, pk in movie_ids.items() if pk in cards}
        self._names = {entry: cards[pk].name for entry, pk in self.movie_ids.items()}

    def because(self, entry: int, shared: str = "") -> Reason:
        """A viewer who only marked a movie as seen need not have liked it."""
        name, evidence = self._names[entry], int(self._past.kinds.data[entry])
        if evidence == Evidence.CHECK_IN:
            kind, text = "watched", f"Because you watched {name} here"
        elif evidence == Evidence.FAVOURITE:
            kind, text = "favourite", f"Because {name} is a favourite of yours"
        elif self._past.weights.data[entry] > weight_table()[Evidence.SEEN, 0]:
            kind, text = "liked", f"Because you liked {name}"
        else:
            kind, text = "seen", f"Because you saw {name}"
        return Reason(kind, f"{text}: {shared}" if shared else text, self.movie_ids[entry])

    def like(self, entry: int, shared: str) -> Reason:
        text = f"{shared[0].upper()}{shared[1:]}, like {self._names[entry]}"
        return Reason("shared", text, self.movie_ids[entry])


# --- shared features

#: By field the names, in the movie's own order.
FeatureNames = Mapping[str, Sequence[str]]


def shared_feature_words(
    pairs: Iterable[tuple[int, int]], snapshot: Snapshot
) -> dict[tuple[int, int], str]:
    """The shared feature of two movies by their ids, as "also with Anna Karina"; empty for none."""
    wanted = set(pairs)
    names = _feature_names(snapshot)
    if missing := {pk for pair in wanted for pk in pair} - names.keys():
        movies = Movie.objects.filter(pk__in=missing).prefetch_related("genres")
        names.update((movie.pk, _feature_names_of(movie)) for movie in movies)
    return {(one, two): _shared(names.get(one, {}), names.get(two, {})) for one, two in wanted}


@lru_cache(maxsize=2)
def _feature_names(snapshot: Snapshot) -> dict[int, FeatureNames]:
    """The cache of movies that were asked for with this version of the catalogue."""
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
