"""Who is in whose way: the screenings that are wanted against those that stand, and each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from cinema.etags import check_if_match
from cinema.locks import retry_on_deadlock
from movies.days import ClockChange, cinema_day, local_time
from movies.errors import DatesReversed, EndsAtUnknown, HallTaken, MovieNotFound, broken_constraint
from movies.models import MAX_SCREENING_LENGTH, Movie, Screening
from movies.screenings.schemas import check_screening_times
from movies.screenings.selectors import lock_hall, lock_movies, lock_screening
from movies.search.index import index_movies


@retry_on_deadlock
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


@retry_on_deadlock
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


@retry_on_deadlock
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
    for name, value in changes.items():
        setattr(screening, name, value)
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
        raise HallTaken(screening.hall.name, find_collisions(screening)) from error
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


#: Of those in the way of one screening so many are named: in cancelled ones that are copied
#: everything can overlap with everything.
MAX_NAMED = 20


@dataclass(frozen=True)
class Standing:
    """A screening that is in the hall already, as an answer names it."""

    id: int
    movie_id: int
    movie: str
    hall: str
    starts_at: datetime
    ends_at: datetime
    state: str

    @classmethod
    def of(cls, screening: Screening) -> Standing:
        return cls(
            screening.pk,
            screening.movie_id,
            screening.movie.name,
            screening.hall.name,
            local_time(screening.starts_at),
            local_time(screening.ends_at),
            screening.state,
        )


@dataclass(frozen=True, eq=False)
class WantedScreening:
    """A screening that is to be: not saved yet, with its movie and hall."""

    screening: Screening
    #: What the clock should show, naive, and what it does at that time instead.
    reading: datetime
    clock_change: ClockChange | None = None
    #: The one that it is a copy of.
    source: Screening | None = None


@dataclass(frozen=True)
class Unplaced:
    """A wanted screening that cannot be, and why."""

    reason: str
    source_id: int | None
    movie_id: int
    movie: str
    hall: str
    date: date
    starts_at: datetime
    ends_at: datetime
    #: In its way: screenings in the hall, and the starts of other wanted ones.
    standing: list[Standing] = field(default_factory=list)
    among_new: list[datetime] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        wanted: WantedScreening,
        reason: str,
        standing: Sequence[Standing] = (),
        among_new: Sequence[WantedScreening] = (),
    ) -> Unplaced:
        screening = wanted.screening
        return cls(
            reason,
            wanted.source.pk if wanted.source else None,
            screening.movie_id,
            screening.movie.name,
            screening.hall.name,
            cinema_day(screening.starts_at),
            local_time(screening.starts_at),
            local_time(screening.ends_at),
            list(standing),
            [local_time(other.screening.starts_at) for other in among_new],
        )


@dataclass(frozen=True)
class Division:
    """The wanted screenings that find their hall free, and those that do not."""

    free: list[WantedScreening]
    collisions: list[Unplaced]


def split_by_collision(wanted: Sequence[WantedScreening], *, first_come: bool) -> Division:
    """Tell who finds the hall free from who does not; two queries at most.

    Of two wanted ones that overlap the later one collides. `first_come`: only with those that
    found the hall free themselves; otherwise with all, so that every collision is known.
    """
    occupied = _occupied([w.screening for w in wanted])
    before: dict[int, list[WantedScreening]] = defaultdict(list)
    free: list[WantedScreening] = []
    taken: list[tuple[WantedScreening, Sequence[int], list[WantedScreening]]] = []
    for one in sorted(wanted, key=lambda w: (w.screening.starts_at, w.screening.hall_id)):
        screening = one.screening
        earlier = before[screening.hall_id]
        earlier[:] = [e for e in earlier if e.screening.ends_at > screening.starts_at]
        ids = occupied[screening.hall_id].within(screening)
        if is_free := not ids and not earlier:
            free.append(one)
        else:
            taken.append((one, ids[:MAX_NAMED], earlier[:MAX_NAMED]))
        if is_free or not first_come:
            earlier.append(one)
    named = _named({pk for _, ids, _ in taken for pk in ids})
    return Division(
        free,
        [
            Unplaced.of(one, "hall-taken", [named[pk] for pk in ids if pk in named], earlier)
            for one, ids, earlier in taken
        ],
    )


def find_collisions(screening: Screening) -> list[Standing]:
    """The others that are in the hall of the screening at its time."""
    others = Screening.objects.exclude(pk=screening.pk).exclude(state=Screening.State.CANCELLED)
    at_once = others.filter(
        hall_id=screening.hall_id,
        # For the index, which has starts only: what begins earlier has ended.
        starts_at__gt=screening.starts_at - MAX_SCREENING_LENGTH,
        starts_at__lt=screening.ends_at,
        ends_at__gt=screening.starts_at,
    )
    return [Standing.of(other) for other in at_once.select_related("movie", "hall")]


@dataclass(frozen=True)
class _Times:
    """The screenings that stand in one hall; none overlaps another, so all lists are in order."""

    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def within(self, screening: Screening) -> Sequence[int]:
        first = bisect_right(self.ends, screening.starts_at)
        return self.ids[first : bisect_left(self.starts, screening.ends_at)]


def _occupied(wanted: Sequence[Screening]) -> dict[int, _Times]:
    by_hall: dict[int, _Times] = defaultdict(_Times)
    if not wanted:
        return by_hall
    earliest = min(screening.starts_at for screening in wanted)
    rows = (
        Screening.objects.exclude(state=Screening.State.CANCELLED)
        .filter(
            hall_id__in={screening.hall_id for screening in wanted},
            starts_at__gt=earliest - MAX_SCREENING_LENGTH,
            starts_at__lt=max(screening.ends_at for screening in wanted),
        )
        .order_by("starts_at")
        .values_list("hall_id", "starts_at", "ends_at", "pk")
    )
    for hall_id, starts_at, ends_at, pk in rows:
        times = by_hall[hall_id]
        times.starts.append(starts_at)
        times.ends.append(ends_at)
        times.ids.append(pk)
    return by_hall


def _named(screening_ids: set[int]) -> dict[int, Standing]:
    if not screening_ids:
        return {}
    screenings = Screening.objects.filter(pk__in=screening_ids).select_related("movie", "hall")
    return {screening.pk: Standing.of(screening) for screening in screenings}
