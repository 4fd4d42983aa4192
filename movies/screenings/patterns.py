"""Screenings by pattern: each day of some weeks at the same times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from django.db import transaction

from cinema.errors import Unprocessable
from cinema.locks import again_after_deadlock
from movies.days import ONE_DAY, clock_reading, moment_of
from movies.errors import DatesReversed, EndsAtUnknown, MovieNotFound
from movies.models import MAX_SCREENING_LENGTH, Movie, Screening
from movies.screenings.batch_schemas import WEEKDAYS, ScreeningPatternIn
from movies.screenings.collisions import Wanted
from movies.screenings.locking import lock_hall, lock_movies
from movies.screenings.placing import Placed, place

MAX_POSTED = 500


@again_after_deadlock
@transaction.atomic
def post_pattern(*, pattern: ScreeningPatternIn) -> Placed:
    """Post a movie in one hall on each of the days at each of the times.

    Days are the cinema's own: 00:30 is in the night that follows. Times are what the clock shows.

    Raises:
        MovieNotFound: `movie_id` names none.
        EndsAtUnknown: Neither the length nor the movie's running time is given.
        HallsTaken: Something is in the way of at least one, and nothing was written.
        Unprocessable: None of the days has such a weekday, or there are too many screenings.
    """
    readings = _readings(pattern)
    movie = lock_movies([pattern.movie_id]).get(pattern.movie_id)
    if movie is None or movie.withdrawn_at:
        raise MovieNotFound(pattern.movie_id)
    length = _length(pattern, movie)
    fields = pattern.model_dump(include={"version", "subtitles", "tags", "booking_url", "state"})
    says_language = "language" in pattern.model_fields_set
    fields["language"] = pattern.language if says_language else movie.language_of(pattern.version)
    hall = lock_hall(pattern.hall)
    wanted = []
    for reading in readings:
        starts_at, change = moment_of(reading)
        screening = Screening(
            movie=movie, hall=hall, starts_at=starts_at, ends_at=starts_at + length, **fields
        )
        wanted.append(Wanted(screening, reading, change))
    return place(wanted, pattern)


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
        raise EndsAtUnknown("body.length_minutes")
    if (length := timedelta(minutes=minutes)) > MAX_SCREENING_LENGTH:
        raise DatesReversed("body.length_minutes", "a screening lasts at most 24 hours")
    return length
