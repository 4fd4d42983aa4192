"""What a writer of screenings locks, and in which order: movies, then the screening, then halls.

Movies and halls by their ids. Movies, because triggers mark those whose tags change; halls, because
two writers in one hall would each wait in the exclusion constraint for the other. Whoever keeps to
the order waits, and never in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable

from movies.errors import ScreeningNotFound
from movies.models import Hall, Movie, Screening
from movies.screenings import selectors


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
        screening = selectors.get_screening(screening_id, for_staff=True, for_update=True)
        if screening.movie_id == movie_id:
            return screening, movies


def lock_halls(hall_ids: Iterable[int]) -> dict[int, Hall]:
    halls = Hall.objects.filter(pk__in=set(hall_ids)).order_by("pk")
    return {hall.pk: hall for hall in halls.select_for_update(no_key=True)}


def lock_hall(name: str) -> Hall:
    """The hall of this name, in whatever case, made on its first use."""
    locked = selectors.halls_named(name).select_for_update(no_key=True)
    if (found := locked.first()) is None:
        # Two may post the first screening of a hall at once; one row comes of it.
        Hall.objects.bulk_create([Hall(name=name)], ignore_conflicts=True)
        found = locked.get()
    return found
