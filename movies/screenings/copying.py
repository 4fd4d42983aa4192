"""Copies of whole days: what ran in one week runs in another, at the same times by the clock."""

from __future__ import annotations

from datetime import date

from django.db import transaction

from cinema.errors import Unprocessable
from cinema.locks import again_after_deadlock
from movies.days import cinema_day, clock_reading, local_time, moment_of
from movies.errors import NothingToCopy
from movies.models import Movie, Screening
from movies.screenings import selectors
from movies.screenings.batch_schemas import ScreeningCopyIn
from movies.screenings.collisions import Unplaced, Wanted
from movies.screenings.locking import lock_halls, lock_movies
from movies.screenings.placing import Placed, place

#: At once: a month of a large house.
MAX_COPIED = 5_000


@again_after_deadlock
@transaction.atomic
def copy_screenings(*, order: ScreeningCopyIn) -> Placed:
    """Post the screenings of some days once more, so many days later or earlier.

    Days are the cinema's own, times stay what the clock shows, lengths are real time. A copy is
    scheduled, or hidden like its source.

    Raises:
        NothingToCopy: There is no such screening on those days.
        HallsTaken: Something is in the way of at least one copy, and nothing was written.
        Unprocessable: There are too many.
    """
    source = _source(order)
    movies = lock_movies(screening.movie_id for screening in source)
    halls = lock_halls(screening.hall_id for screening in source)
    wanted: list[Wanted] = []
    left_out: list[Unplaced] = []
    for screening in source:
        if screening.movie_id not in movies or screening.hall_id not in halls:
            continue  # deleted since, with all its screenings
        screening.movie, screening.hall = movies[screening.movie_id], halls[screening.hall_id]
        copy = _copy(screening, order)
        if reason := _reason_not_to(screening, cinema_day(copy.screening.starts_at), order):
            left_out.append(Unplaced.of(copy, reason))
        else:
            wanted.append(copy)
    return place(wanted, order, left_out)


def _source(order: ScreeningCopyIn) -> list[Screening]:
    found = list(
        selectors.screenings_of_days(
            order.from_, order.days, hall=order.hall, movie_id=order.movie_id
        )[: MAX_COPIED + 1]
    )
    if not found:
        raise NothingToCopy(order.from_, order.days)
    if len(found) > MAX_COPIED:
        message = f"at most {MAX_COPIED} screenings are copied at once: say fewer days, or a hall"
        raise Unprocessable("body.days", message)
    return found


def _copy(source: Screening, order: ScreeningCopyIn) -> Wanted:
    local = local_time(source.starts_at)
    day = cinema_day(source.starts_at) + (order.to - order.from_)
    fold = 1 if order.doubled_hour == "second" else local.fold
    reading = clock_reading(day, local.time().replace(fold=fold))
    starts_at, change = moment_of(reading)
    hidden = source.state == Screening.State.HIDDEN
    copy = Screening(
        movie=source.movie,
        hall=source.hall,
        starts_at=starts_at,
        ends_at=starts_at + (source.ends_at - source.starts_at),
        version=source.version,
        language=source.language,
        subtitles=source.subtitles,
        tags=source.tags,
        booking_url=source.booking_url if order.with_booking_urls else None,
        state=Screening.State.HIDDEN if hidden else Screening.State.SCHEDULED,
    )
    return Wanted(copy, reading, change, source)


def _reason_not_to(source: Screening, day: date, order: ScreeningCopyIn) -> str | None:
    movie = source.movie
    if movie.withdrawn_at:
        return "movie-withdrawn"
    finished_by_hand = movie.status_is_manual and movie.status == Movie.Status.FINISHED
    if finished_by_hand or (movie.end_date and movie.end_date < day):
        return "movie-finished"
    if source.state == Screening.State.CANCELLED and not order.include_cancelled:
        return "cancelled"
    return None
