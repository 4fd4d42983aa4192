"""Preferences that a viewer's own history speaks for, to be confirmed and not to be assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from django.db.models import Sum

from cinema.cache import shared
from movies.languages import primary
from movies.models import Genre, Movie
from recommendations.ratings.summary import Figures, Films, figures_of
from users.models import User
from users.preferences.selectors import get_preferences

Row = dict[str, Any]
Key = TypeVar("Key", int, str)

SUGGESTED_EACH = 5
#: In the cache.
USUAL, USUAL_KEPT_S = "usual-genres-and-languages", 3600
#: Fewer films than that are chance.
ENOUGH_FILMS = 3
#: How much more of it the viewer watches than all viewers do.
LEAST_LIFT = 1.25
#: The viewer's share counts as if so many films had been watched as all viewers watch them.
USUAL_FILMS = 10


def suggest_preferences(user: User) -> Row:
    """In the form of `PreferenceSuggestionsOut`; without what the viewer has stated already."""
    figures, stated = figures_of(user), get_preferences(user.pk)
    genres = Genre.objects.in_bulk(list(figures.genres))
    usual = _usual()
    by_genre = {pk: usual["genres"].get(str(pk), 0) for pk in genres}
    by_language = usual["languages"]
    all_rated = sum(by_language.values())
    known = {genre.pk for genre in stated.genres}
    spoken = {primary(code) for code in stated.languages}
    return {
        "genres": [
            {"slug": genres[pk].slug, "name": genres[pk].name, **shown}
            for pk, shown in _spoken_for(figures, figures.genres, by_genre, all_rated)
            if pk not in known
        ][:SUGGESTED_EACH],
        "languages": [
            {"language": code, **shown}
            for code, shown in _spoken_for(figures, figures.languages, by_language, all_rated)
            if code not in spoken
        ][:SUGGESTED_EACH],
    }


def _usual() -> Mapping[str, Mapping[str, int]]:
    """How often viewers have rated films of each genre, by its id, and of each language.

    As of the last hour: it goes through all films.
    """
    kept = shared().get(USUAL)
    if isinstance(kept, dict):
        return kept
    genres = Genre.objects.annotate(rated=Sum("movies__rating_count", default=0))
    rows = Movie.objects.order_by().values_list("original_language")
    languages: Counter[str] = Counter()
    for code, rated in rows.annotate(rated=Sum("rating_count")):
        languages[primary(code or "")] += rated
    by_genre = {str(genre.pk): genre.rated for genre in genres}
    usual = {"genres": by_genre, "languages": dict(languages)}
    shared().set(USUAL, usual, USUAL_KEPT_S)
    return usual


def _spoken_for(
    figures: Figures, found: Mapping[Key, Films], rated: Mapping[Key, int], all_rated: int
) -> Iterator[tuple[Key, Row]]:
    """What is watched more than is usual, and not thought less of; the most so first."""
    mean = _mean(found)
    lifts = {
        key: _lift(films.films, figures.films_watched, rated[key] / all_rated)
        for key, films in found.items()
        if films.films >= ENOUGH_FILMS and rated.get(key)
    }
    for key, lift in sorted(lifts.items(), key=lambda item: (-item[1], item[0])):
        films = found[key]
        is_liked = films.mean_rating is None or mean is None or films.mean_rating >= mean
        if lift >= LEAST_LIFT and is_liked:
            yield (
                key,
                {
                    "films_watched": films.films,
                    "mean_rating": films.mean_rating,
                    "lift": round(lift, 2),
                },
            )


def _lift(films: int, of: int, usual: float) -> float:
    return (films + USUAL_FILMS * usual) / (of + USUAL_FILMS) / usual


def _mean(found: Mapping[Key, Films]) -> float | None:
    """Of the ratings of all of these, as `Films.mean_rating` is."""
    return sum(found.values(), Films()).mean_rating
