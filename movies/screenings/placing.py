"""Many screenings at once: all of them, or with `skip` all that find their hall free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import IntegrityError, transaction

from movies.constraints import broken_constraint
from movies.days import ClockChange, cinema_day, local_time
from movies.errors import HallsTaken
from movies.models import Screening
from movies.screenings.batch_schemas import BatchRules
from movies.screenings.collisions import Division, Unplaced, Wanted, divide
from movies.search.indexing import index_movies

#: Whoever keeps to the order of `locking` cannot come in between. Others can, as by `psql`.
ATTEMPTS = 3


@dataclass(frozen=True)
class ClockNote:
    """A screening at a time that the clock leaves out or shows twice."""

    movie_id: int
    hall: str
    date: date
    reading: datetime
    change: ClockChange
    starts_at: datetime

    @classmethod
    def of(cls, wanted: Wanted, change: ClockChange) -> ClockNote:
        screening = wanted.screening
        return cls(
            screening.movie_id,
            screening.hall.name,
            cinema_day(screening.starts_at),
            wanted.reading,
            change,
            local_time(screening.starts_at),
        )


@dataclass(frozen=True)
class Placed:
    """What came of a batch. After a dry run the screenings have no ids."""

    created: list[Screening]
    left_out: list[Unplaced]
    clock_changes: list[ClockNote]
    dry_run: bool

    @property
    def is_written(self) -> bool:
        return bool(self.created) and not self.dry_run


def place(wanted: Sequence[Wanted], rules: BatchRules, left_out: Sequence[Unplaced] = ()) -> Placed:
    """Write the screenings, whose movies and halls the caller has locked.

    A dry run writes too, and marks the caller's transaction to be rolled back: so it is answered
    by the database's constraints and not by an opinion on them.

    Raises:
        HallsTaken: Something is in the way of at least one of them, and nothing was written.
    """
    division = _write_free(wanted, rules)
    created = [one.screening for one in division.free]
    if rules.dry_run:
        transaction.set_rollback(True)
        for screening in created:
            screening.pk = None
    elif tagged := {screening.movie_id for screening in created if screening.tags}:
        index_movies(tagged)
    return Placed(
        created,
        sorted([*left_out, *division.collisions], key=lambda one: one.starts_at),
        [ClockNote.of(one, one.clock_change) for one in division.free if one.clock_change],
        rules.dry_run,
    )


def _write_free(wanted: Sequence[Wanted], rules: BatchRules) -> Division:
    skip = rules.on_collision == "skip"
    for _ in range(ATTEMPTS):
        division = divide(wanted, first_come=skip)
        if division.collisions and not skip:
            break
        # By movie: the triggers that mark movies then lock them in the order of their ids.
        rows = sorted((one.screening for one in division.free), key=lambda s: s.movie_id)
        try:
            with transaction.atomic():
                Screening.objects.bulk_create(rows)
            return division
        except IntegrityError as error:
            if broken_constraint(error) != "screening_hall_is_free":
                raise
    raise HallsTaken(len(wanted), division.collisions)
