"""What a writer of screenings locks, and in which order: movies, then the screening, then halls.

Movies and halls by their ids. Movies, because triggers mark those whose tags change; halls, because
two writers in one hall would each wait in the exclusion constraint for the other. Whoever keeps to
the order waits, and never in a circle.
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
        screenings = screenings.filter(hall__in=halls_named(filters.hall))
    if filters.state is not None:
        screenings = screenings.filter(state=filters.state)
    if filters.version is not None:
        screenings = screenings.filter(version=filters.version)
    if filters.status is not None:
        screenings = screenings.filter(movie__status=filters.status)
    if filters.genre is not None:
        screenings = screenings.filter(movie__genres__slug=filters.genre)
    screenings = screenings.filter(
        accessibility_filter(
            language=filters.language,
            subtitles=filters.subtitles,
            understands=filters.understands,
            tags=filters.tag,
        )
    )
    if filters.starts_from is not None:
        screenings = screenings.filter(starts_at__gte=filters.starts_from)
    if filters.starts_before is not None:
        screenings = screenings.filter(starts_at__lt=filters.starts_before)
    return screenings


def accessibility_filter(
    *,
    language: str | None,
    subtitles: str | None,
    understands: Collection[str],
    tags: Collection[str],
) -> Q:
    """The screenings in a spoken language, with subtitles, with all of the tags; and understood by
    a viewer of these languages, who hears or reads one of them."""
    condition = Q(tags__contains=list(tags)) if tags else Q()
    if language is not None:
        condition &= _is_spoken(language)
    if subtitles is not None:
        condition &= language_filter("subtitles", subtitles)
    if understands:
        condition &= _is_spoken(NO_WORDS, *understands) | language_filter("subtitles", *understands)
    return condition


def _is_spoken(*languages: str) -> Q:
    """As by `Screening.spoken_language`."""
    inherited = Q(language=None) & ~Q(version=Screening.Version.DUBBED)
    return language_filter("language", *languages) | (
        inherited & language_filter("movie__original_language", *languages)
    )


def list_screenings_of_days(
    first: date, days: int, *, hall: str | None = None, movie_id: int | None = None
) -> QuerySet[Screening]:
    """All of so many of the cinema's own days, also cancelled ones and those of withdrawn movies,
    by their start."""
    screenings = Screening.objects.filter(
        starts_at__gte=start_of_cinema_day(first),
        starts_at__lt=start_of_cinema_day(first + timedelta(days=days)),
    )
    if hall is not None:
        screenings = screenings.filter(hall__in=halls_named(hall))
    if movie_id is not None:
        screenings = screenings.filter(movie_id=movie_id)
    return screenings.order_by("starts_at", "id")


def halls_named(name: str) -> QuerySet[Hall]:
    """The hall of this name, if there is one; compared in lower case, as by the constraint."""
    return Hall.objects.alias(lower=Lower("name")).filter(lower=Lower(Value(name)))


def _screenings(*, for_staff: bool) -> QuerySet[Screening]:
    screenings = Screening.objects.filter(movie__withdrawn_at=None).select_related("hall")
    return screenings if for_staff else screenings.exclude(state=Screening.State.HIDDEN)


def lock_movies(movie_ids: Iterable[int]) -> dict[int, Movie]:
    """The movies by id, withdrawn ones too, without the long texts.

    Until the transaction ends nobody else changes, withdraws or deletes them.
    """
    movies = Movie.objects.filter(pk__in=set(movie_ids)).defer("overview").order_by("pk")
    return {movie.pk: movie for movie in movies.select_for_update(no_key=True)}


def lock_screening(
    screening_id: int, *, new_movie_id: int | None = None
) -> tuple[Screening, dict[int, Movie]]:
    """The screening with its hall, and its movie and the one that it is given to, by id.

    Raises:
        ScreeningNotFound: There is none.
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
    """The hall of this name, in whatever case, made on its first use."""
    locked = halls_named(name).select_for_update(no_key=True)
    if (found := locked.first()) is None:
        # Two may post the first screening of a hall at once; one row comes of it.
        Hall.objects.bulk_create([Hall(name=name)], ignore_conflicts=True)
        found = locked.get()
    return found
