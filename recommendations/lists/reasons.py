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
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.ranking.explanations import (
    candidate_entries,
    entries_to_test,
    influences,
    strongest_entries,
)
from recommendations.engine.recommender import Recommender
from recommendations.interaction_weights import Evidence, weight_table
from recommendations.licence_filter import UNKNOWN_PEOPLE, is_licensed
from recommendations.lists.item_features import (
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.scores import POPULARITY, HistoryMatrices
from recommendations.releases import LoadedRelease
from users.preferences import StatedPreferences

REASONS_EACH = 2


NEW = Reason("new", "New here")
SHOWING = Reason("showing", "Showing soon")
POPULAR = Reason("popular", "Many viewers here like it")
LIKED_HERE = Reason("popular", "Liked here")
STAFF = Reason("staff", "The cinema recommends it")
FITS = Reason("taste", "Fits what you have liked")


def with_matches(reasons: Sequence[Reason], n_matches: int) -> Sequence[Reason]:
    """What viewers of the same taste do comes second; `n_matches` of them like it.

    It is no part of a list that is kept: they may stop being shown at any moment.
    """
    if not n_matches:
        return reasons
    some = "A viewer" if n_matches == 1 else f"{n_matches} viewers"
    liked = Reason("matches", f"{some} of your taste like{'s' if n_matches == 1 else ''} it")
    return [*reasons[:1], liked, *reasons[1:]][:REASONS_EACH]


class HistoryNames:
    """Of entries of the history of one viewer, (1, n_items) each."""

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
        #: What is not published any more is not named.
        self.movie_ids = {entry: pk for entry, pk in movie_ids.items() if pk in cards}
        self._names = {entry: cards[pk].name for entry, pk in self.movie_ids.items()}

    def because(self, entry: int, shared: str = "") -> Reason:
        """Who has seen a movie and said no more need not have liked it."""
        name, kind = self._names[entry], int(self._past.kinds.data[entry])
        if kind == Evidence.CHECK_IN:
            called, text = "watched", f"Because you watched {name} here"
        elif kind == Evidence.FAVOURITE:
            called, text = "favourite", f"Because {name} is a favourite of yours"
        elif self._past.weights.data[entry] > weight_table()[Evidence.SEEN, 0]:
            called, text = "liked", f"Because you liked {name}"
        else:
            called, text = "seen", f"Because you saw {name}"
        return Reason(called, f"{text}: {shared}" if shared else text, self.movie_ids[entry])

    def like(self, entry: int, shared: str) -> Reason:
        """That it has something of a film is so whatever has brought it here."""
        text = f"{shared[0].upper()}{shared[1:]}, like {self._names[entry]}"
        return Reason("shared", text, self.movie_ids[entry])


#: By field how it is put; what says most goes first.
WORDS = {
    "directors": "also by",
    "protagonists": "also with",
    "keywords": "also about",
    "genres": "also",
}
#: So many are named.
NAMED = 2

#: By field the names, in the film's own order.
FeatureNames = Mapping[str, Sequence[str]]


def shared_feature_words(
    pairs: Iterable[tuple[int, int]], snapshot: Snapshot
) -> dict[tuple[int, int], str]:
    """By the ids of two films what they share, as "also with Anna Karina"; empty for nothing."""
    wanted = set(pairs)
    makings = _feature_names(snapshot)
    if missing := {pk for pair in wanted for pk in pair} - makings.keys():
        films = Movie.objects.filter(pk__in=missing).prefetch_related("genres")
        makings.update((film.pk, _feature_names_of(film)) for film in films)
    return {(one, two): _shared(makings.get(one, {}), makings.get(two, {})) for one, two in wanted}


@lru_cache(maxsize=2)
def _feature_names(snapshot: Snapshot) -> dict[int, FeatureNames]:
    """Of the films that were asked for while the snapshot stands."""
    return {}


def _feature_names_of(film: Movie) -> FeatureNames:
    """What TMDb filled in is left out, unless the settings allow it: their terms."""
    makings: FeatureNames = {
        "directors": film.directors,
        "protagonists": [person for person in film.protagonists if person not in UNKNOWN_PEOPLE],
        "keywords": film.keywords,
        "genres": [genre.name for genre in film.genres.all()],
    }
    return {field: of for field, of in makings.items() if is_licensed(field, film.tmdb_fields)}


def _shared(one: FeatureNames, two: FeatureNames) -> str:
    for field, words in WORDS.items():
        if names := [name for name in one.get(field, ()) if name in two.get(field, ())]:
            return f"{words} {join_words(names[:NAMED])}"
    return ""


#: Fewer are not many, however few watch anything here.
MANY_VIEWERS = 3


@dataclass(frozen=True)
class ScoreOrigin:
    """What put a film into a list: a model, that part of it which did most, and the film's column
    in the release."""

    model: Recommender
    part: Recommender
    item: int


@dataclass(frozen=True)
class ItemExplanation:
    """What became of one film when films of the viewer were left out.

    Attributes:
        likely: Entries of the history that may have brought it.
        strongest: Those that did, and at most REASONS_EACH of them.
        fits: Whether it is above the mean film by the part that did most for it.
    """

    ground: ScoreOrigin
    likely: Sequence[int]
    strongest: Sequence[int]
    fits: bool

    def pairs(self) -> Sequence[int]:
        """The entries of which something in common is to be told, if there is anything."""
        if not self.strongest:
            return self.likely
        return self.strongest if self.ground.part.name == CONTENT else ()


def explain(
    grounds: Sequence[ScoreOrigin | None],
    past: HistoryMatrices,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """For each the films of the viewer without which its score would be lower.

    Without such films what it shares with one of them; or else that it fits, or that others like
    it, where that is so.

    Args:
        grounds: None for what no model has put there.
        past: (1, n_items) each.
    """
    reasons: list[list[Reason]] = [[] for _ in grounds]
    by_model: dict[int, list[int]] = {}
    for place, ground in enumerate(grounds):
        if ground is not None:
            by_model.setdefault(id(ground.model), []).append(place)
    for places in by_model.values():
        asked = [ground for place in places if (ground := grounds[place])]
        found = _explain(asked, past, release, snapshot)
        for place, why in zip(places, found, strict=True):
            reasons[place] = why
    return reasons


def _explain(
    grounds: Sequence[ScoreOrigin],
    past: HistoryMatrices,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """Of films that one model has put there."""
    popular = _by_popularity(release, [ground.item for ground in grounds])
    if not any(ground.part.is_personal for ground in grounds):
        return popular
    likely = _likely_entries(grounds, past)
    names = HistoryNames(past, release, snapshot, entries_to_test(likely))
    tried = _try_out(grounds, likely, list(names.movie_ids), past)
    ids = release.items.ids
    films = [int(ids[each.ground.item]) for each in tried]
    shared = shared_feature_words(
        ((film, names.movie_ids[entry]) for film, each in zip(films, tried, strict=True)
         for entry in each.pairs()),
        snapshot,
    )  # fmt: skip
    return [
        _by_films(each, names, {e: shared[film, names.movie_ids[e]] for e in each.pairs()})
        or ([FITS] if each.fits else others)
        for film, each, others in zip(films, tried, popular, strict=True)
    ]


def _by_films(
    tried: ItemExplanation, names: HistoryNames, shared: Mapping[int, str]
) -> list[Reason]:
    """
    Args:
        shared: By entry what the two films have in common, in words; empty for nothing.
    """
    if tried.strongest:
        return [names.because(entry, shared.get(entry, "")) for entry in tried.strongest]
    return [names.like(entry, words) for entry, words in shared.items() if words][:1]


def _likely_entries(grounds: Sequence[ScoreOrigin], past: HistoryMatrices) -> list[list[int]]:
    likely: list[list[int]] = [[] for _ in grounds]
    for part, places in _by_part(grounds).values():
        if part.is_personal:
            items = np.array([grounds[place].item for place in places])
            rows = candidate_entries(part, past.weights, past.times, items)
            for place, entries in zip(places, rows, strict=True):
                likely[place] = entries
    return likely


def _try_out(
    grounds: Sequence[ScoreOrigin],
    likely: Sequence[Sequence[int]],
    named: Sequence[int],
    past: HistoryMatrices,
) -> list[ItemExplanation]:
    """
    Args:
        likely: By ground, of which only those that are `named` are tried.
    """
    entries = np.array(named, dtype=np.intp)
    items = np.array([ground.item for ground in grounds])
    model = grounds[0].model
    by_part = influences(model, past.weights, past.times, entries=entries, items=items)
    tried: dict[int, ItemExplanation] = {}
    for name, (_, places) in _by_part(grounds).items():
        influence = by_part[name]
        at_most = 1 if name == CONTENT else REASONS_EACH
        found = strongest_entries(influence.falls[places], at_most=at_most)
        for place, row in zip(places, found, strict=True):
            tried[place] = ItemExplanation(
                grounds[place],
                [entry for entry in likely[place] if entry in named],
                entries[row].tolist(),
                bool(influence.fits[place]) and grounds[place].part.is_personal,
            )
    return [tried[place] for place in range(len(grounds))]


def _by_part(grounds: Sequence[ScoreOrigin]) -> dict[str, tuple[Recommender, list[int]]]:
    """By the name of a part itself, and the places of what it did most for."""
    places: dict[str, tuple[Recommender, list[int]]] = {}
    for place, ground in enumerate(grounds):
        places.setdefault(ground.part.name, (ground.part, []))[1].append(place)
    return places


def _by_popularity(release: LoadedRelease, items: Sequence[int]) -> list[list[Reason]]:
    """That many like it is said of what more than the mean number of viewers like."""
    popularity = release.recommenders.get(POPULARITY)
    if not isinstance(popularity, PopularityRecommender):
        return [[] for _ in items]
    liked_by = popularity.liked_by
    many = max(MANY_VIEWERS, liked_by[liked_by > 0].mean()) if liked_by.any() else MANY_VIEWERS
    return [
        [POPULAR] if number >= many else [LIKED_HERE] if number else []
        for number in liked_by[items].tolist()
    ]


def reasons_by_preferences(
    stated: StatedPreferences, movie_id: int, snapshot: Snapshot
) -> list[Reason]:
    """What of it the film has, in words."""
    traits = catalogue_features(snapshot)
    row = int(traits.films.indices([movie_id])[0])
    of_film = slice(traits.genres.indptr[row], traits.genres.indptr[row + 1])
    own = set(traits.genre_ids.ids[traits.genres.indices[of_film]].tolist())
    names = [genre.name for genre in stated.genres if genre.pk in own]
    code = traits.codes[traits.languages[row]]
    said = [f"You like {join_words(names)}"] if names else []
    if is_wanted_language(code, stated.languages):
        said.append(f"You like films in {language_name(code)}")
    return [Reason("preference", text) for text in said]
