"""Write single screenings, and find what else is in a hall at the same time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from cinema.http import check_if_match
from cinema.locks import retry_on_deadlock
from movies.days import ClockChange, cinema_day, local_time
from movies.errors import DatesReversed, EndsAtUnknown, HallTaken, MovieNotFound, broken_constraint
from movies.models import MAX_SCREENING_LENGTH, Movie, Screening
from movies.screenings.schemas import (
    ScreeningIn,
    ScreeningPatch,
    StandingOut,
    UnplacedOut,
    UnplacedReason,
    check_screening_times,
)
from movies.screenings.selectors import lock_hall, lock_halls, lock_movies, lock_screening
from movies.search.index import index_movies

#: An answer names at most this many screenings in the way of one: cancelled ones that are copied
#: can all overlap.
MAX_NAMED = 20
OVERLAPPING = """
SELECT wanted.place, array_agg(standing.id ORDER BY standing.starts_at)
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
     AS wanted (place, id, hall_id, starts_at, ends_at)
JOIN movies_screening AS standing USING (hall_id)
WHERE standing.state <> 'cancelled' AND standing.id IS DISTINCT FROM wanted.id
  AND standing.starts_at < wanted.ends_at AND standing.ends_at > wanted.starts_at
  -- The index holds starts only.
  AND standing.starts_at > wanted.starts_at - %s
GROUP BY wanted.place
"""


@retry_on_deadlock
@transaction.atomic
def create_screening(*, screening: ScreeningIn, hall_id: int | None = None) -> Screening:
    """Post a screening; its hall is created on first use.

    Args:
        hall_id: Of the hall that is taken, whatever its name is by now.

    Raises:
        MovieNotFound: No published movie has this id.
        EndsAtUnknown: Neither the end nor the movie's running time is given.
        HallTaken: Another screening is in the hall at that time.
    """
    movies = lock_movies([screening.movie_id])
    fields = {"ends_at": None, **screening.model_dump(exclude_unset=True)}
    new = Screening()
    if hall_id is not None:
        del fields["hall"]
        new.hall_id = hall_id
    return _write_screening(new, fields, movies)


@retry_on_deadlock
@transaction.atomic
def update_screening(
    *, screening_id: int, changes: ScreeningPatch, if_match: str | None = None
) -> Screening:
    """Change the given fields. A new start without an end keeps the length.

    Raises:
        ScreeningNotFound, MovieNotFound, HallTaken.
        DatesReversed: The new times do not fit the present ones.
        PreconditionFailed: The screening was edited since the caller read it.
    """
    fields = changes.model_dump(exclude_unset=True)
    screening, movies = lock_screening(screening_id, new_movie_id=fields.get("movie_id"))
    check_if_match(if_match, screening.updated_at)
    if "starts_at" in fields and "ends_at" not in fields:
        length = screening.ends_at - screening.starts_at
        fields["ends_at"] = fields["starts_at"].astimezone(UTC) + length
    return _write_screening(screening, fields, movies)


@retry_on_deadlock
@transaction.atomic
def delete_screening(*, screening_id: int, if_match: str | None = None) -> None:
    """Delete a screening. To tell viewers that it is off, set its state to `cancelled` instead.

    Raises:
        ScreeningNotFound.
        PreconditionFailed: The screening was edited since the caller read it.
    """
    screening, movies = lock_screening(screening_id)
    check_if_match(if_match, screening.updated_at)
    screening.delete()
    if screening.tags:
        index_movies(movies)


def _write_screening(
    screening: Screening, fields: Mapping[str, Any], movies: Mapping[int, Movie]
) -> Screening:
    was_tagged = bool(screening.tags)
    for name, value in fields.items():
        if name != "hall":
            setattr(screening, name, value)
    movie = movies.get(screening.movie_id)
    if movie is None or movie.withdrawn_at:
        raise MovieNotFound(screening.movie_id)
    _set_times(screening, movie)
    if not screening.pk and "language" not in fields:
        screening.language = movie.language_of(screening.version)
    if hall_name := fields.get("hall"):
        screening.hall = lock_hall(hall_name)
    else:  # by its id: staff may be renaming it
        [screening.hall] = lock_halls([screening.hall_id]).values()
    try:
        with transaction.atomic():
            screening.save()
    except IntegrityError as error:
        if broken_constraint(error) != "screening_hall_is_free":
            raise
        raise HallTaken(screening.hall.name, find_collisions(screening)) from error
    if was_tagged or screening.tags:
        index_movies(movies)
    return screening


def _set_times(screening: Screening, movie: Movie) -> None:
    """Convert both times to UTC: local arithmetic would be an hour off when the clocks change."""
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


def find_collisions(screening: Screening) -> list[StandingOut]:
    """The other screenings in the hall at the time of this one."""
    return _standing_in_the_way([screening]).get(0, [])


@dataclass(frozen=True, eq=False)
class WantedScreening:
    """An unsaved screening with its movie and hall.

    Attributes:
        reading: The naive local time that was asked for.
        clock_change: How the clock treats that time, if it skips or repeats it.
        source: The screening that this one is a copy of.
    """

    screening: Screening
    reading: datetime
    clock_change: ClockChange | None = None
    source: Screening | None = None

    def unplaced(
        self,
        reason: UnplacedReason,
        standing: Sequence[StandingOut] = (),
        among_new: Sequence[WantedScreening] = (),
    ) -> UnplacedOut:
        screening = self.screening
        return UnplacedOut(
            reason=reason,
            source_id=self.source.pk if self.source else None,
            movie_id=screening.movie_id,
            movie=screening.movie.name,
            hall=screening.hall.name,
            date=cinema_day(screening.starts_at),
            starts_at=local_time(screening.starts_at),
            ends_at=local_time(screening.ends_at),
            standing=list(standing),
            among_new=[local_time(other.screening.starts_at) for other in among_new],
        )


def split_by_collision(
    wanted: Sequence[WantedScreening], *, first_come: bool
) -> tuple[list[WantedScreening], list[UnplacedOut]]:
    """Separate the screenings whose hall is free from those that collide, in two queries at most.

    Of two wanted ones that overlap, the later one collides. With `first_come` only those that
    found their hall free stand in the way of later ones; otherwise all do, so that the caller
    learns of every collision.
    """
    in_order = sorted(wanted, key=lambda w: (w.screening.starts_at, w.screening.hall_id))
    standing = _standing_in_the_way([one.screening for one in in_order])
    earlier: dict[int, list[WantedScreening]] = defaultdict(list)
    free: list[WantedScreening] = []
    collisions: list[UnplacedOut] = []
    for place, one in enumerate(in_order):
        screening = one.screening
        before = earlier[screening.hall_id]
        before[:] = [w for w in before if w.screening.ends_at > screening.starts_at]
        if is_free := place not in standing and not before:
            free.append(one)
        else:
            collisions.append(
                one.unplaced("hall-taken", standing.get(place, []), before[:MAX_NAMED])
            )
        if is_free or not first_come:
            before.append(one)
    return free, collisions


def _standing_in_the_way(wanted: Sequence[Screening]) -> dict[int, list[StandingOut]]:
    """The saved screenings in the way, by the index of the wanted one."""
    parameters: list[Any] = [
        list(range(len(wanted))),
        [screening.pk for screening in wanted],
        [screening.hall_id for screening in wanted],
        [screening.starts_at for screening in wanted],
        [screening.ends_at for screening in wanted],
        MAX_SCREENING_LENGTH,
    ]
    with connection.cursor() as cursor:
        cursor.execute(OVERLAPPING, parameters)
        found = {place: ids[:MAX_NAMED] for place, ids in cursor.fetchall()}
    ids = {pk for each in found.values() for pk in each}
    screenings = Screening.objects.filter(pk__in=ids).select_related("movie", "hall")
    named = {screening.pk: StandingOut.of(screening) for screening in screenings}
    return {place: [named[pk] for pk in ids if pk in named] for place, ids in found.items()}
