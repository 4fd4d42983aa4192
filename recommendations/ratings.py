"""A viewer's ratings, statistics, and the preferences that their history suggests.

Statistics count all of the viewer's rows, also of movies that were withdrawn since.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from django.db.models import QuerySet, Sum
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from cinema.auth import signed_in
from cinema.cache import shared
from cinema.errors import problems
from cinema.schemas import Line, Paginated
from movies.languages import primary_language
from movies.models import Genre, Movie
from movies.schemas import MovieDetails, OfMovieOut
from movies.selectors import without_movies
from movies.types import LocalTime
from recommendations.models import Interaction
from recommendations.viewer_figures import MonthCount, ViewerFigures, WatchedCount, figures_of
from users.auth import AuthedRequest
from users.models import User
from users.preferences import stated_preferences

Stars = Annotated[float, Field(ge=0.5, le=5, multiple_of=0.5)]
Months = Annotated[
    int, Field(ge=1, le=120, description="The number of months that are listed, up to this one.")
]


class ListedRatingOut(OfMovieOut):
    stars: float = Field(examples=[4.5])
    rated_at: LocalTime

    @staticmethod
    def resolve_rated_at(rating: Interaction) -> datetime:
        return rating.updated_at


class RatingFilters(Schema):
    stars_from: Stars | None = Field(None, examples=[4])
    stars_to: Stars | None = Field(None, examples=[5])
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    sort: Literal["-rated_at", "-stars", "stars", "name"] = "-rated_at"


class CountsOut(Schema):
    ratings: int = Field(examples=[57])
    favourites: int = Field(examples=[12])
    history: int = Field(description="Entries; a film watched twice has two.", examples=[80])
    check_ins: int = Field(description="Entries with a screening here.", examples=[31])
    films_watched: int = Field(
        description="Different films in the history, rated, or marked as seen.", examples=[93]
    )


class StarsCountOut(Schema):
    stars: float = Field(examples=[4.5])
    ratings: int = Field(examples=[9])


class GenreStatisticsOut(Schema):
    slug: str = Field(examples=["drama"])
    name: str = Field(examples=["Drama"])
    films_watched: int = Field(examples=[40])
    mean_rating: float | None = Field(examples=[3.9])


class DecadeStatisticsOut(Schema):
    decade: int | None = Field(description="Null: no release year.", examples=[1960])
    films_watched: int = Field(examples=[17])
    mean_rating: float | None = Field(examples=[4.1])


class MonthStatisticsOut(Schema):
    month: str = Field(description="In the cinema's time zone.", examples=["2026-11"])
    viewings: int = Field(examples=[6])
    check_ins: int = Field(examples=[2])


class StatisticsOut(Schema):
    """Statistics of a viewer. Withdrawn films count too."""

    counts: CountsOut
    mean_rating: float | None = Field(examples=[3.8])
    by_stars: list[StarsCountOut] = Field(description="Ordered by stars, from a half to five.")
    by_genre: list[GenreStatisticsOut] = Field(description="Ordered by films watched, most first.")
    by_decade: list[DecadeStatisticsOut] = Field(description="Ordered by release year.")
    by_month: list[MonthStatisticsOut] = Field(description="By month, up to this one.")
    hours_watched: float = Field(
        description="Sum of the running times of all entries in the history.", examples=[131.5]
    )
    viewings_without_runtime: int = Field(
        description="Number of entries whose film has no running time.", examples=[1]
    )


class _Suggested(Schema):
    films_watched: int = Field(examples=[14])
    mean_rating: float | None = Field(examples=[4.2])
    lift: float = Field(
        description="Your share of it, divided by the share of all viewers.", examples=[2.1]
    )


class SuggestedGenreOut(_Suggested):
    slug: str = Field(examples=["drama"])
    name: str = Field(examples=["Drama"])


class SuggestedLanguageOut(_Suggested):
    language: str = Field(examples=["fr"])


class PreferenceSuggestionsOut(Schema):
    """At most five genres and five languages, ordered by lift."""

    genres: list[SuggestedGenreOut]
    languages: list[SuggestedLanguageOut]


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


def filtered_ratings(user: User, filters: RatingFilters) -> QuerySet[Interaction]:
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
    """Decades in order; films without a year come last."""
    in_order = sorted(found.items(), key=lambda item: (item[0] is None, item[0]))
    return [{"decade": decade, **_shown(films)} for decade, films in in_order]


def _shown(films: WatchedCount) -> Row:
    return {"films_watched": films.films, "mean_rating": films.mean_rating}


def _mean_of(stars: Mapping[int, int]) -> float | None:
    total = sum(stars.values())
    return round(sum(half * n for half, n in stars.items()) / 2 / total, 2) if total else None


def _last_months(count: int) -> list[str]:
    """Months such as "2026-11", this month being the last one."""
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
#: The least lift: the viewer's share of films, divided by that of all viewers.
MIN_LIFT = 1.25
#: The viewer's share is smoothed by so many movies that are watched as all viewers watch them.
USUAL_FILMS = 10


def suggestions_for(user: User) -> Row:
    """In the form of `PreferenceSuggestionsOut`, without preferences that are stated already."""
    figures, stated = figures_of(user), stated_preferences(user.pk)
    genres = Genre.objects.in_bulk(list(figures.genres))
    usual = _usual_counts()
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


def _usual_counts() -> Mapping[str, Mapping[str, int]]:
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
    """The keys that are watched more than usual and rated no lower, the highest lift first."""
    mean = sum(found.values(), WatchedCount()).mean_rating
    lifts = {
        key: _lift(films.films, figures.films_watched, rated[key] / all_rated)
        for key, films in found.items()
        if films.films >= ENOUGH_FILMS and rated.get(key)
    }
    for key, lift in sorted(lifts.items(), key=lambda item: (-item[1], item[0])):
        films = found[key]
        is_liked = films.mean_rating is None or mean is None or films.mean_rating >= mean
        if lift >= MIN_LIFT and is_liked:
            yield key, {**_shown(films), "lift": round(lift, 2)}


def _lift(films: int, of: int, usual: float) -> float:
    return (films + USUAL_FILMS * usual) / (of + USUAL_FILMS) / usual


router = Router(tags=["Accounts"])


@router.get(
    "/users/me/ratings",
    auth=signed_in,
    response={200: list[ListedRatingOut], **problems(401, 422)},
    exclude_unset=True,
)
@paginate(Paginated)
def list_ratings(
    request: AuthedRequest,
    filters: Query[RatingFilters],
    include_movie_details: MovieDetails = True,
) -> QuerySet[Interaction]:
    """Your ratings, the latest first."""
    rows = filtered_ratings(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.get(
    "/users/me/statistics", auth=signed_in, response={200: StatisticsOut, **problems(401, 422)}
)
def get_statistics(request: AuthedRequest, months: Months = 12) -> dict[str, Any]:
    """Statistics of what you have watched and how you rate."""
    return statistics_of(request.auth, months=months)


@router.get(
    "/users/me/preferences/suggestions",
    auth=signed_in,
    response={200: PreferenceSuggestionsOut, **problems(401)},
)
def suggest_preferences(request: AuthedRequest) -> dict[str, Any]:
    """Genres and languages that your history suggests and you have not stated."""
    return suggestions_for(request.auth)
