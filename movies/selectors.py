from __future__ import annotations

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower
from django.utils import timezone

from movies.errors import MovieNotFound, ScreeningNotFound
from movies.models import Genre, Movie, Screening
from movies.schemas import MovieFilters, ScreeningFilters

ORDERS: dict[str, tuple[str | Combinable, ...]] = {
    "name": (Lower("name"), "id"),
    "-ranking": (F("ranking").desc(), "id"),
    "start_date": ("start_date", "id"),
    "-rating": (F("rating_average").desc(nulls_last=True), F("rating_count").desc(), "id"),
}


def get_movie(movie_id: int, *, for_update: bool = False) -> Movie:
    """The published movie; `for_update` holds off other writers until the transaction ends.

    Raises:
        MovieNotFound: No movie has this id, or it was withdrawn.
    """
    movies = Movie.objects.published().filter(pk=movie_id)
    movie = (movies.select_for_update() if for_update else movies).first()
    if movie is None:
        raise MovieNotFound(movie_id)
    return movie


def get_movie_by_slug(slug: str) -> Movie:
    """The published movie.

    Raises:
        MovieNotFound: No movie has this slug, or it was withdrawn.
    """
    movie = Movie.objects.published().filter(slug=slug).first()
    if movie is None:
        raise MovieNotFound(slug)
    return movie


def list_movies(filters: MovieFilters) -> QuerySet[Movie]:
    movies = Movie.objects.published().prefetch_related("genres").order_by(*ORDERS[filters.sort])
    if filters.genre is not None:
        movies = movies.filter(genres__slug=filters.genre)
    if filters.status is not None:
        movies = movies.filter(status=filters.status)
    if filters.language is not None:
        movies = movies.filter(original_language=filters.language)
    if filters.person is not None:
        movies = movies.filter(protagonists__contains=[filters.person])
    if filters.year_from is not None:
        movies = movies.filter(release_year__gte=filters.year_from)
    if filters.year_to is not None:
        movies = movies.filter(release_year__lte=filters.year_to)
    return movies


def list_trending_movies() -> QuerySet[Movie]:
    """By ranking. What has left the programme trends no more."""
    movies = Movie.objects.published().exclude(status=Movie.Status.FINISHED)
    return movies.prefetch_related("genres").order_by(*ORDERS["-ranking"])


def list_genres() -> QuerySet[Genre]:
    return Genre.objects.order_by("name", "id")


def get_screening(screening_id: int, *, for_staff: bool, for_update: bool = False) -> Screening:
    """One screening; the hidden ones are for staff.

    `for_update` holds off other writers until the transaction ends.

    Raises:
        ScreeningNotFound: There is none with this id that the caller may know of.
    """
    screenings = _screenings(for_staff=for_staff).filter(pk=screening_id)
    screening = (screenings.select_for_update(of=["self"]) if for_update else screenings).first()
    if screening is None:
        raise ScreeningNotFound(screening_id)
    return screening


def list_screenings(filters: ScreeningFilters, *, for_staff: bool) -> QuerySet[Screening]:
    screenings = _screenings(for_staff=for_staff).order_by("starts_at", "id")
    if filters.movie_id is not None:
        screenings = screenings.filter(movie_id=filters.movie_id)
    if filters.hall is not None:
        screenings = screenings.filter(hall__name__iexact=filters.hall)
    if filters.state is not None:
        screenings = screenings.filter(state=filters.state)
    if filters.version is not None:
        screenings = screenings.filter(version=filters.version)
    if filters.language is not None:
        screenings = screenings.filter(language=filters.language)
    if filters.tag is not None:
        screenings = screenings.filter(tags__contains=[filters.tag.lower()])
    if filters.starts_from is not None:
        screenings = screenings.filter(starts_at__gte=filters.starts_from)
    if filters.starts_before is not None:
        screenings = screenings.filter(starts_at__lt=filters.starts_before)
    return screenings


def _screenings(*, for_staff: bool) -> QuerySet[Screening]:
    screenings = Screening.objects.filter(movie__withdrawn_at=None).select_related("hall")
    return screenings if for_staff else screenings.exclude(state=Screening.State.HIDDEN)


def cinema_day(moment: datetime) -> date:
    """The day of the programme: the small hours belong to the evening before."""
    local = timezone.localtime(moment)
    early = local.time() < settings.CINEMA_DAY_STARTS_AT
    return local.date() - timedelta(days=1) if early else local.date()


def start_of_cinema_day(day: date) -> datetime:
    return datetime.combine(
        day, settings.CINEMA_DAY_STARTS_AT, tzinfo=timezone.get_default_timezone()
    )
