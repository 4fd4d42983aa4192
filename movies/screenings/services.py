from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from cinema.conditions import check_if_match
from cinema.locks import again_after_deadlock
from movies.constraints import broken_constraint
from movies.errors import DatesReversed, EndsAtUnknown, HallTaken, MovieNotFound
from movies.models import Movie, Screening
from movies.screenings.collisions import standing_in_the_way
from movies.screenings.locking import (
    lock_hall,
    lock_movies,
    lock_screening,
)
from movies.screenings.schemas import check_screening_times
from movies.search.indexing import index_movies


@again_after_deadlock
@transaction.atomic
def create_screening(*, fields: Mapping[str, Any]) -> Screening:
    """Post a screening. `fields` are those of `ScreeningIn`; a hall is made on its first use.

    Raises:
        MovieNotFound: `movie_id` names none.
        EndsAtUnknown: Neither the end nor the movie's running time is given.
        HallTaken: Another screening is in the hall at that time.
    """
    movies = lock_movies([fields["movie_id"]])
    return _write_screening(Screening(), {"ends_at": None, **fields}, movies)


@again_after_deadlock
@transaction.atomic
def update_screening(
    *, screening_id: int, fields: Mapping[str, Any], if_match: str | None = None
) -> Screening:
    """Change the given fields. A new start without an end keeps the length.

    Raises:
        ScreeningNotFound, MovieNotFound, HallTaken: As their names say.
        DatesReversed: The times given and those that stand do not go together.
        PreconditionFailed: It was edited since the caller read what `if_match` names.
    """
    screening, movies = lock_screening(screening_id, new_movie_id=fields.get("movie_id"))
    check_if_match(if_match, screening.updated_at)
    changes = dict(fields)
    if "starts_at" in changes and "ends_at" not in changes:
        length = screening.ends_at - screening.starts_at
        changes["ends_at"] = changes["starts_at"].astimezone(UTC) + length
    return _write_screening(screening, changes, movies)


@again_after_deadlock
@transaction.atomic
def delete_screening(*, screening_id: int, if_match: str | None = None) -> None:
    """Take a screening out for good; to show viewers that it is off, set `cancelled` instead.

    Raises:
        ScreeningNotFound: There is none.
        PreconditionFailed: It was edited since the caller read what `if_match` names.
    """
    screening, movies = lock_screening(screening_id)
    check_if_match(if_match, screening.updated_at)
    screening.delete()
    if screening.tags:
        index_movies(movies)


def _write_screening(
    screening: Screening, fields: Mapping[str, Any], movies: Mapping[int, Movie]
) -> Screening:
    changes = dict(fields)
    hall_name = changes.pop("hall", None)
    was_tagged = bool(screening.tags)
    for field, value in changes.items():
        setattr(screening, field, value)
    movie = movies.get(screening.movie_id)
    if movie is None or movie.withdrawn_at:
        raise MovieNotFound(screening.movie_id)
    _set_times(screening, movie)
    if not screening.pk and "language" not in changes:
        screening.language = movie.language_of(screening.version)
    screening.hall = lock_hall(hall_name or screening.hall.name)
    try:
        with transaction.atomic():
            screening.save()
    except IntegrityError as error:
        if broken_constraint(error) != "screening_hall_is_free":
            raise
        raise HallTaken(screening.hall.name, standing_in_the_way(screening)) from error
    if was_tagged or screening.tags:
        index_movies(movies)
    return screening


def _set_times(screening: Screening, movie: Movie) -> None:
    """In UTC, where an hour is an hour also when the clocks change."""
    screening.starts_at = screening.starts_at.astimezone(UTC)
    if screening.ends_at is not None:
        screening.ends_at = screening.ends_at.astimezone(UTC)
    elif movie.runtime_minutes:
        screening.ends_at = screening.starts_at + timedelta(minutes=movie.runtime_minutes)
    else:
        raise EndsAtUnknown
    try:
        check_screening_times(screening.starts_at, screening.ends_at)
    except ValueError as error:
        raise DatesReversed("body.ends_at", str(error)) from error
