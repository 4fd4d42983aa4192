"""Read screenings, and lock the rows that a writer of screenings needs.

Writers lock movies, then the screening, then halls; movies and halls in the order of their ids.
Movies are locked because triggers mark those whose tags change, and halls because two writers in
one hall would wait for each other in the exclusion constraint. The fixed order avoids deadlocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower

from movies.days import start_of_cinema_day
from movies.errors import ScreeningNotFound
from movies.languages import NO_WORDS, language_filter
from movies.models import Hall, Movie, Screening
from movies.screenings.schemas import ScreeningFilters
from movies.selectors import given


def get_screening(screening_id: int, *, for_staff: bool, for_update: bool = False) -> Screening:
    """One screening; only staff see hidden ones. `for_update` locks the row.

    Raises:
        ScreeningNotFound: The caller can see no screening with this id.
    """
    screenings = _screenings(for_staff=for_staff).filter(pk=screening_id)
    screening = (screenings.select_for_update(of=["self"]) if for_update else screenings).first()
    if screening is None:
        raise ScreeningNotFound(screening_id)
    return screening


def list_screenings(filters: ScreeningFilters, *, for_staff: bool) -> QuerySet[Screening]:
    screenings = _screenings(for_staff=for_staff).order_by("starts_at", "id")
    if filters.hall is not None:
        screenings = screenings.filter(hall__in=halls_named(filters.hall))
    return screenings.filter(
        given(
            movie_id=filters.movie_id,
            state=filters.state,
            version=filters.version,
            movie__status=filters.status,
            movie__genres__slug=filters.genre,
            starts_at__gte=filters.starts_from,
            starts_at__lt=filters.starts_before,
        ),
        accessibility_filter(
            language=filters.language,
            subtitles=filters.subtitles,
            understands=filters.understands,
            tags=filters.tag,
        ),
    )


def accessibility_filter(
    *,
    language: str | None,
    subtitles: str | None,
    understands: Collection[str],
    tags: Collection[str],
) -> Q:
    """Match screenings by spoken language, subtitles and all of the tags.

    `understands` matches screenings that a viewer of these languages can hear or read.
    """
    condition = Q(tags__contains=list(tags)) if tags else Q()
    if language is not None:
        condition &= _is_spoken(language)
    if subtitles is not None:
        condition &= language_filter("subtitles", subtitles)
    if understands:
        condition &= _is_spoken(NO_WORDS, *understands) | language_filter("subtitles", *understands)
    return condition


def _is_spoken(*languages: str) -> Q:
    """The SQL form of `Screening.spoken_language`."""
    inherited = Q(language=None) & ~Q(version=Screening.Version.DUBBED)
    return language_filter("language", *languages) | (
        inherited & language_filter("movie__original_language", *languages)
    )


def list_screenings_of_days(
    first: date, days: int, *, hall: str | None = None, movie_id: int | None = None
) -> QuerySet[Screening]:
    """All screenings of some cinema days, cancelled ones and those of withdrawn movies included."""
    screenings = Screening.objects.filter(
        starts_at__gte=start_of_cinema_day(first),
        starts_at__lt=start_of_cinema_day(first + timedelta(days=days)),
    )
    if hall is not None:
        screenings = screenings.filter(hall__in=halls_named(hall))
    return screenings.filter(given(movie_id=movie_id)).order_by("starts_at", "id")


def halls_named(name: str) -> QuerySet[Hall]:
    """The hall of this name; like the constraint, it compares lower case."""
    return Hall.objects.alias(lower=Lower("name")).filter(lower=Lower(Value(name)))


def _screenings(*, for_staff: bool) -> QuerySet[Screening]:
    # The few withdrawn movies, as a join with all movies takes longer than all the rest.
    withdrawn = Movie.objects.exclude(withdrawn_at=None)
    screenings = Screening.objects.exclude(movie__in=withdrawn).select_related("hall")
    return screenings if for_staff else screenings.exclude(state=Screening.State.HIDDEN)


def lock_movies(movie_ids: Iterable[int]) -> dict[int, Movie]:
    """Lock the movies, withdrawn ones too; returned by id, without the long texts."""
    movies = Movie.objects.filter(pk__in=set(movie_ids)).defer("overview").order_by("pk")
    return {movie.pk: movie for movie in movies.select_for_update(no_key=True)}


def lock_screening(
    screening_id: int, *, new_movie_id: int | None = None
) -> tuple[Screening, dict[int, Movie]]:
    """Lock the screening, and by id its movie and the new one.

    Raises:
        ScreeningNotFound.
    """
    while True:
        found = Screening.objects.filter(pk=screening_id).values_list("movie_id", flat=True)
        if (movie_id := found.first()) is None:
            raise ScreeningNotFound(screening_id)
        movies = lock_movies({movie_id, new_movie_id or movie_id})
        screening = get_screening(screening_id, for_staff=True, for_update=True)
        if screening.movie_id == movie_id:
            return screening, movies


def lock_halls(hall_ids: Iterable[int]) -> dict[int, Hall]:
    halls = Hall.objects.filter(pk__in=set(hall_ids)).order_by("pk")
    return {hall.pk: hall for hall in halls.select_for_update(no_key=True)}


def lock_hall(name: str) -> Hall:
    """Lock the hall of this name in any case; it is created on first use."""
    locked = halls_named(name).select_for_update(no_key=True)
    if (found := locked.first()) is None:
        # Two writers may post the first screening of a hall at once.
        Hall.objects.bulk_create([Hall(name=name)], ignore_conflicts=True)
        found = locked.get()
    return found
