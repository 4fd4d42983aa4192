"""A viewer's ratings, statistics, and the preferences that their history suggests.

Statistics count all of the viewer's rows, also of movies that were withdrawn since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from django.db.models import QuerySet, Sum
from django.utils import timezone

from cinema.cache import shared
from movies.languages import primary_language
from movies.models import Genre, Movie
from recommendations.models import Interaction
from recommendations.ratings.schemas import RatingFilters
from recommendations.ratings.summary import MonthCount, ViewerFigures, WatchedCount, figures_of
from users.models import User
from users.preferences import stated_preferences

Row = dict[str, Any]
Key = TypeVar("Key", int, str)

ORDERS = {
    "-rated_at": ("-updated_at", "-id"),
    "-stars": ("-half_stars", "-updated_at", "-id"),
    "stars": ("half_stars", "-updated_at", "-id"),
    "name": ("movie__name_key", "movie_id"),
}


def ratings_of(user: User) -> QuerySet[Interaction]:
    return Interaction.objects.filter(user=user, kind=Interaction.Kind.RATING)


def list_ratings(user: User, filters: RatingFilters) -> QuerySet[Interaction]:
    """Ratings of published movies, with the movies."""
    ratings = ratings_of(user).filter(movie__withdrawn_at=None)
    if filters.stars_from is not None:
        ratings = ratings.filter(half_stars__gte=round(filters.stars_from * 2))
    if filters.stars_to is not None:
        ratings = ratings.filter(half_stars__lte=round(filters.stars_to * 2))
    if filters.genre is not None:
        ratings = ratings.filter(movie__genres__slug=filters.genre)
    rows = ratings.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by(*ORDERS[filters.sort])


def statistics_of(user: User, *, months: int) -> Row:
    """In the form of `StatisticsOut`; `months` is how many are listed, up to this one."""
    figures = figures_of(user)
    stars, by_month = figures.stars, figures.months
    return {
        "counts": {
            "ratings": sum(stars.values()),
            "favourites": figures.favourites,
            "history": sum(month.viewings for month in by_month.values()),
            "check_ins": sum(month.check_ins for month in by_month.values()),
            "films_watched": figures.films_watched,
        },
        "mean_rating": _mean_of(stars),
        "by_stars": [{"stars": half / 2, "ratings": stars.get(half, 0)} for half in range(1, 11)],
        "by_genre": _by_genre(figures.genres),
        "by_decade": _by_decade(figures.decades),
        "by_month": [_month(by_month, month) for month in _last_months(months)],
        "hours_watched": round(sum(month.minutes for month in by_month.values()) / 60, 1),
        "viewings_without_runtime": sum(month.without_runtime for month in by_month.values()),
    }


def _by_genre(found: Mapping[int, WatchedCount]) -> list[Row]:
    """The most watched first."""
    genres = Genre.objects.in_bulk(list(found))
    rows = [(found[pk], genre) for pk, genre in genres.items()]
    rows.sort(key=lambda row: (-row[0].films, row[1].name))
    return [{"slug": genre.slug, "name": genre.name, **_shown(films)} for films, genre in rows]


def _by_decade(found: Mapping[int | None, WatchedCount]) -> list[Row]:
    """In order; films without a year come last."""
    in_order = sorted(found.items(), key=lambda item: (item[0] is None, item[0]))
    return [{"decade": decade, **_shown(films)} for decade, films in in_order]


def _shown(films: WatchedCount) -> Row:
    return {"films_watched": films.films, "mean_rating": films.mean_rating}


def _mean_of(stars: Mapping[int, int]) -> float | None:
    total = sum(stars.values())
    return round(sum(half * n for half, n in stars.items()) / 2 / total, 2) if total else None


def _last_months(count: int) -> list[str]:
    """Such as "2026-11"; this month is the last one."""
    today = timezone.localdate()
    number = today.year * 12 + today.month - 1
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(number - count + 1, number + 1)]


def _month(by_month: Mapping[str, MonthCount], month: str) -> Row:
    found = by_month.get(month, MonthCount())
    return {"month": month, "viewings": found.viewings, "check_ins": found.check_ins}


# --- suggested preferences

SUGGESTED_EACH = 5
#: A cache key, and how long the value is kept.
USUAL, USUAL_KEPT_S = "usual-genres-and-languages", 3600
#: Fewer movies are chance.
ENOUGH_FILMS = 3
#: How many times as much as all viewers the viewer must watch.
LEAST_LIFT = 1.25
#: The viewer's share is smoothed by so many movies that are watched as all viewers watch them.
USUAL_FILMS = 10


def suggest_preferences(user: User) -> Row:
    """In the form of `PreferenceSuggestionsOut`, without preferences that are stated already."""
    figures, stated = figures_of(user), stated_preferences(user.pk)
    genres = Genre.objects.in_bulk(list(figures.genres))
    usual = _usual()
    by_genre = {pk: usual["genres"].get(str(pk), 0) for pk in genres}
    by_language = usual["languages"]
    all_rated = sum(by_language.values())
    known = {genre.pk for genre in stated.genres}
    spoken = {primary_language(code) for code in stated.languages}
    return {
        "genres": [
            {"slug": genres[pk].slug, "name": genres[pk].name, **shown}
            for pk, shown in _suggested(figures, figures.genres, by_genre, all_rated)
            if pk not in known
        ][:SUGGESTED_EACH],
        "languages": [
            {"language": code, **shown}
            for code, shown in _suggested(figures, figures.languages, by_language, all_rated)
            if code not in spoken
        ][:SUGGESTED_EACH],
    }


def _usual() -> Mapping[str, Mapping[str, int]]:
    """The number of ratings by genre id and by language, cached as it reads all movies."""
    cached = shared().get(USUAL)
    if isinstance(cached, dict):
        return cached
    genres = Genre.objects.annotate(rated=Sum("movies__rating_count", default=0))
    rows = Movie.objects.order_by().values_list("original_language")
    languages: Counter[str] = Counter()
    for code, rated in rows.annotate(rated=Sum("rating_count")):
        languages[primary_language(code or "")] += rated
    by_genre = {str(genre.pk): genre.rated for genre in genres}
    usual = {"genres": by_genre, "languages": dict(languages)}
    shared().set(USUAL, usual, USUAL_KEPT_S)
    return usual


def _suggested(
    figures: ViewerFigures,
    found: Mapping[Key, WatchedCount],
    rated: Mapping[Key, int],
    all_rated: int,
) -> Iterator[tuple[Key, Row]]:
    """What the viewer watches more than is usual and rates no lower; the highest lift first."""
    mean = sum(found.values(), WatchedCount()).mean_rating
    lifts = {
        key: _lift(films.films, figures.films_watched, rated[key] / all_rated)
        for key, films in found.items()
        if films.films >= ENOUGH_FILMS and rated.get(key)
    }
    for key, lift in sorted(lifts.items(), key=lambda item: (-item[1], item[0])):
        films = found[key]
        is_liked = films.mean_rating is None or mean is None or films.mean_rating >= mean
        if lift >= LEAST_LIFT and is_liked:
            yield key, {**_shown(films), "lift": round(lift, 2)}


def _lift(films: int, of: int, usual: float) -> float:
    return (films + USUAL_FILMS * usual) / (of + USUAL_FILMS) / usual
