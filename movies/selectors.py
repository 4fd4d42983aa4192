from __future__ import annotations

from typing import TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import Combinable

from movies.errors import MovieNotFound
from movies.languages import language_filter
from movies.models import Genre, Movie
from movies.schemas import MovieFilters
from movies.search import queries

M = TypeVar("M", bound=Model)

#: An index of `Movie` exists for each.
ORDERS: dict[str, tuple[str | Combinable, ...]] = {
    "name": ("name_key", "id"),
    "-ranking": (F("ranking").desc(), "id"),
    "start_date": ("start_date", "id"),
    "-rating": (F("community_score").desc(nulls_last=True), F("rating_count").desc(), "id"),
}


def get_movie(movie_id: int, *, for_update: bool = False) -> Movie:
    """The published movie; `for_update` locks the row.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    movies = Movie.objects.published().filter(pk=movie_id)
    movie = (movies.select_for_update() if for_update else movies).first()
    if movie is None:
        raise MovieNotFound(movie_id)
    return movie


def get_movie_by_slug(slug: str) -> Movie:
    """Raises: MovieNotFound: No published movie has this slug."""
    movie = Movie.objects.published().filter(slug=slug).first()
    if movie is None:
        raise MovieNotFound(slug)
    return movie


def list_movies(filters: MovieFilters) -> QuerySet[Movie]:
    """The filtered and ordered catalogue; with `q`, the best matches of a search."""
    genre, person = None, ""
    if filters.genre is not None:
        genre = Genre.objects.filter(slug=filters.genre).values_list("pk", flat=True).first()
        if genre is None:
            return Movie.objects.none()
    if filters.person is not None:
        person = queries.person_query(filters.person)
        if not person:
            return Movie.objects.none()
    movies, facets = _narrowed(filters, genre, person)
    order: tuple[str | Combinable, ...] = ORDERS.get(filters.sort or "", ORDERS["name"])
    if filters.q:
        found = queries.find_movie_ids(filters.q, movies, facets)
        movies = Movie.objects.filter(queries.is_among(found))
        if filters.sort in (None, "relevance"):
            order = (queries.position_in(found),)
    return movies.order_by(*order)


def _narrowed(filters: MovieFilters, genre: int | None, person: str) -> tuple[QuerySet[Movie], str]:
    """The published movies that match the filters, and the same condition as a text query."""
    movies = Movie.objects.published().filter(
        given(
            status=filters.status,
            release_year__gte=filters.year_from,
            release_year__lte=filters.year_to,
        )
    )
    if filters.language is not None:
        movies = movies.filter(language_filter("original_language", filters.language))
    if genre is not None:
        # Last, as it is the slowest condition.
        movies = movies.filter(genre_ids__contains=[genre])
    facets = queries.facet_query(filters, genre=genre)
    if person:
        movies = movies.filter(queries.is_found_by(person))
    return movies, queries.both(facets, person)


def given(**conditions: object) -> Q:
    """The conditions whose value is not None."""
    return Q(**{name: value for name, value in conditions.items() if value is not None})


def list_trending_movies() -> QuerySet[Movie]:
    """Movies by ranking, without those whose run has finished."""
    movies = Movie.objects.published().exclude(status=Movie.Status.FINISHED)
    return movies.order_by(*ORDERS["-ranking"])


def without_movies(rows: QuerySet[M]) -> QuerySet[M]:
    """Read the rows without their movies."""
    return rows.select_related(None).prefetch_related(None)


def list_genres() -> QuerySet[Genre]:
    return Genre.objects.order_by("name", "id")
