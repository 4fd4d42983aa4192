"""Many screenings at once: copies of whole days, and weekly patterns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction

from cinema.errors import Unprocessable
from cinema.locks import retry_on_deadlock
from movies import errors
from movies.days import ONE_DAY, cinema_day, clock_reading, local_time, moment_of
from movies.models import MAX_SCREENING_LENGTH, Movie, Screening
from movies.screenings import selectors
from movies.screenings.schemas import (
    WEEKDAYS,
    BatchRules,
    ClockNoteOut,
    ScreeningCopyIn,
    ScreeningPatternIn,
    UnplacedOut,
    UnplacedReason,
)
from movies.screenings.selectors import lock_hall, lock_halls, lock_movies
from movies.screenings.services import WantedScreening, split_by_collision
from movies.search.index import index_movies

COPIED = ("movie", "hall", "version", "language", "subtitles", "tags")
#: A month of a large cinema.
MAX_COPIED = 5_000
MAX_POSTED = 500
#: Writers that lock as `selectors` describes cannot collide here; `psql` can.
ATTEMPTS = 3


@dataclass(frozen=True)
class Placed:
    """The result of a batch. After a dry run the screenings have no ids."""

    created: list[Screening]
    left_out: list[UnplacedOut]
    clock_changes: list[ClockNoteOut]
    dry_run: bool

    @property
    def is_written(self) -> bool:
        return bool(self.created) and not self.dry_run


@retry_on_deadlock
@transaction.atomic
def copy_screenings(*, order: ScreeningCopyIn) -> Placed:
    """Copy the screenings of some days to other days.

    Days are cinema days, times keep what the clock shows, lengths are real time. A copy is
    scheduled, or hidden like its source.

    Raises:
        NothingToCopy: There is no such screening on those days.
        HallsTaken: A copy collides, and nothing was written.
        Unprocessable: There are too many.
    """
    sources = _screenings_to_copy(order)
    movies = lock_movies(screening.movie_id for screening in sources)
    halls = lock_halls(screening.hall_id for screening in sources)
    wanted: list[WantedScreening] = []
    left_out: list[UnplacedOut] = []
    for source in sources:
        if source.movie_id not in movies or source.hall_id not in halls:
            continue  # deleted since, with all its screenings
        source.movie, source.hall = movies[source.movie_id], halls[source.hall_id]
        copy = _copy(source, order)
        if reason := _reason_not_to_copy(source, cinema_day(copy.screening.starts_at), order):
            left_out.append(copy.unplaced(reason))
        else:
            wanted.append(copy)
    return place_screenings(wanted, order, left_out)


def _screenings_to_copy(order: ScreeningCopyIn) -> list[Screening]:
    screenings = selectors.list_screenings_of_days(
        order.from_, order.days, hall=order.hall, movie_id=order.movie_id
    )
    found = list(screenings[: MAX_COPIED + 1])
    if not found:
        raise errors.NothingToCopy(order.from_, order.days)
    if len(found) > MAX_COPIED:
        message = f"at most {MAX_COPIED} screenings are copied at once: say fewer days, or a hall"
        raise Unprocessable("body.days", message)
    return found


def _copy(source: Screening, order: ScreeningCopyIn) -> WantedScreening:
    local = local_time(source.starts_at)
    day = cinema_day(source.starts_at) + (order.to - order.from_)
    fold = 1 if order.doubled_hour == "second" else local.fold
    reading = clock_reading(day, local.time().replace(fold=fold))
    starts_at, change = moment_of(reading)
    is_hidden = source.state == Screening.State.HIDDEN
    copy = Screening(
        **{name: getattr(source, name) for name in COPIED},
        starts_at=starts_at,
        ends_at=starts_at + (source.ends_at - source.starts_at),
        booking_url=source.booking_url if order.with_booking_urls else None,
        state=Screening.State.HIDDEN if is_hidden else Screening.State.SCHEDULED,
    )
    return WantedScreening(copy, reading, change, source)


def _reason_not_to_copy(
    source: Screening, day: date, order: ScreeningCopyIn
) -> UnplacedReason | None:
    movie = source.movie
    if movie.withdrawn_at:
        return "movie-withdrawn"
    finished_by_hand = movie.status_is_manual and movie.status == Movie.Status.FINISHED
    if finished_by_hand or (movie.end_date and movie.end_date < day):
        return "movie-finished"
    if source.state == Screening.State.CANCELLED and not order.include_cancelled:
        return "cancelled"
    return None


@retry_on_deadlock
@transaction.atomic
def post_pattern(*, pattern: ScreeningPatternIn) -> Placed:
    """Post a movie in one hall on each of the days at each of the times.

    Days are cinema days: 00:30 is in the night that follows. Times are what the clock shows.

    Raises:
        MovieNotFound: No published movie has this id.
        EndsAtUnknown: Neither the length nor the movie's running time is given.
        HallsTaken: A screening collides, and nothing was written.
        Unprocessable: None of the days has such a weekday, or there are too many screenings.
    """
    readings = _readings(pattern)
    movie = lock_movies([pattern.movie_id]).get(pattern.movie_id)
    if movie is None or movie.withdrawn_at:
        raise errors.MovieNotFound(pattern.movie_id)
    length = _length(pattern, movie)
    fields = pattern.model_dump(include={"version", "subtitles", "tags", "booking_url", "state"})
    is_given = "language" in pattern.model_fields_set
    fields["language"] = pattern.language if is_given else movie.language_of(pattern.version)
    hall = lock_hall(pattern.hall)
    wanted = []
    for reading in readings:
        starts_at, change = moment_of(reading)
        screening = Screening(
            movie=movie, hall=hall, starts_at=starts_at, ends_at=starts_at + length, **fields
        )
        wanted.append(WantedScreening(screening, reading, change))
    return place_screenings(wanted, pattern)


def _readings(pattern: ScreeningPatternIn) -> list[datetime]:
    days = list(_days(pattern))
    if not days:
        raise Unprocessable("body.weekdays", "none of them lies between `from` and `to`")
    if (count := len(days) * len(pattern.times)) > MAX_POSTED:
        message = f"{count} screenings: at most {MAX_POSTED} are posted at once"
        raise Unprocessable("body.times", message)
    fold = 1 if pattern.doubled_hour == "second" else 0
    return [clock_reading(day, at.replace(fold=fold)) for day in days for at in pattern.times]


def _days(pattern: ScreeningPatternIn) -> Iterator[date]:
    day = pattern.from_
    while day <= pattern.to:
        if pattern.weekdays is None or WEEKDAYS[day.weekday()] in pattern.weekdays:
            yield day
        day += ONE_DAY


def _length(pattern: ScreeningPatternIn, movie: Movie) -> timedelta:
    minutes = pattern.length_minutes or movie.runtime_minutes
    if not minutes:
        raise errors.EndsAtUnknown("body.length_minutes")
    if (length := timedelta(minutes=minutes)) > MAX_SCREENING_LENGTH:
        raise errors.DatesReversed("body.length_minutes", "a screening lasts at most 24 hours")
    return length


def place_screenings(
    wanted: Sequence[WantedScreening], rules: BatchRules, left_out: Sequence[UnplacedOut] = ()
) -> Placed:
    """Write the screenings, whose movies and halls the caller has locked.

    A dry run writes too, so that the database's constraints decide, and rolls the caller's
    transaction back.

    Raises:
        HallsTaken: A screening collides, and nothing was written.
    """
    free, collisions = _write_free(wanted, rules)
    created = [one.screening for one in free]
    if rules.dry_run:
        transaction.set_rollback(True)
        for screening in created:
            screening.pk = None
    elif tagged := {screening.movie_id for screening in created if screening.tags}:
        index_movies(tagged)
    return Placed(
        created,
        sorted([*left_out, *collisions], key=lambda one: one.starts_at),
        [
            ClockNoteOut.of(one.screening, one.reading, one.clock_change)
            for one in free
            if one.clock_change
        ],
        rules.dry_run,
    )


def _write_free(
    wanted: Sequence[WantedScreening], rules: BatchRules
) -> tuple[list[WantedScreening], list[UnplacedOut]]:
    skip = rules.on_collision == "skip"
    for _ in range(ATTEMPTS):
        free, collisions = split_by_collision(wanted, first_come=skip)
        if collisions and not skip:
            break
        # Sorted by movie: the triggers that mark movies lock them in the order of their ids.
        rows = sorted((one.screening for one in free), key=lambda s: s.movie_id)
        try:
            with transaction.atomic():
                Screening.objects.bulk_create(rows)
            return free, collisions
        except IntegrityError as error:
            if errors.broken_constraint(error) != "screening_hall_is_free":
                raise
    raise errors.HallsTaken(len(wanted), collisions)
