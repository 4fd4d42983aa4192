"""The parameters of the programme, and the screenings that they select."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from django.db.models import QuerySet
from django.utils import timezone
from ninja import Field, Schema

from cinema.errors import Unprocessable
from cinema.schemas import Day, Line
from movies import catalogue
from movies.days import cinema_day, start_of_cinema_day
from movies.models import Movie, Screening
from movies.schemas import MovieOut
from movies.screenings.schemas import AllTags, ScreeningOut, Spoken, Subtitled, Understood
from movies.screenings.selectors import accessibility_filter, halls_named
from movies.selectors import given
from movies.types import Status

DEFAULT_DAYS = 7
#: The days in the calendar that the cinema's page links to.
SUBSCRIBED_DAYS = 28


@dataclass(frozen=True)
class ProgrammeQuery:
    """The parameters of a programme with defaults filled in; `last` is included."""

    first: date
    last: date
    status: str | None = None
    genre: str | None = None
    language: str | None = None
    subtitles: str | None = None
    understands: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    movie_id: int | None = None
    hall: str | None = None

    @classmethod
    def of(cls, filters: ProgrammeFilters) -> ProgrammeQuery:
        """Fill in the defaults.

        Raises:
            Unprocessable: The days are in the wrong order, too many, or given in two ways.
        """
        if filters.days and filters.to:
            raise Unprocessable("query.days", "give either `days` or `to`")
        first = filters.from_ or cinema_day(timezone.now())
        last = filters.to or first + timedelta(days=(filters.days or DEFAULT_DAYS) - 1)
        if last < first:
            raise Unprocessable("query.to", "`to` lies before `from`")
        if (last - first).days >= MAX_DAYS:
            raise Unprocessable("query.to", f"ask for at most {MAX_DAYS} days at once")
        chosen = filters.model_dump(exclude={"from_", "to", "days", "understands", "tag"})
        # Sorted, so that equal questions have equal cache keys.
        understands, tags = sorted({*filters.understands}), sorted({*filters.tag})
        return cls(first, last, understands=tuple(understands), tags=tuple(tags), **chosen)

    @classmethod
    def of_days(cls, days: int) -> ProgrammeQuery:
        """The programme of today and the days after."""
        today = cinema_day(timezone.now())
        return cls(today, today + timedelta(days=days - 1))

    @classmethod
    def of_movie(cls, movie_id: int) -> ProgrammeQuery:
        """All screenings of a movie from today on, for as many days as possible."""
        return replace(cls.of_days(MAX_DAYS), movie_id=movie_id)

    def is_linked(self) -> bool:
        """Whether the cinema's page links to it."""
        days = (self.last - self.first).days + 1
        return days in (DEFAULT_DAYS, SUBSCRIBED_DAYS) and self == self.of_days(days)


def programme_screenings(query: ProgrammeQuery) -> QuerySet[Screening]:
    """The screenings of the programme, in order."""
    screenings = (
        Screening.objects.filter(
            movie__withdrawn_at=None,
            starts_at__gte=start_of_cinema_day(query.first),
            starts_at__lt=start_of_cinema_day(query.last + timedelta(days=1)),
        )
        .exclude(state=Screening.State.HIDDEN)
        .order_by("starts_at", "id")
    )
    screenings = screenings.filter(
        given(movie_id=query.movie_id, movie__status=query.status, movie__genres__slug=query.genre),
        accessibility_filter(
            language=query.language,
            subtitles=query.subtitles,
            understands=query.understands,
            tags=query.tags,
        ),
    )
    if query.hall is not None:
        screenings = screenings.filter(hall__in=halls_named(query.hall))
    return screenings


def list_programme_screenings(query: ProgrammeQuery) -> list[Screening]:
    """Two queries: the screenings with their halls, in order, and the movies."""
    found = list(programme_screenings(query).select_related("hall"))
    # A join would build a movie for each of its screenings, in half the time of a programme.
    movies = Movie.objects.in_bulk({screening.movie_id for screening in found})
    catalogue.set_genres(movies.values())
    for screening in found:
        screening.movie = movies[screening.movie_id]
    return found


MAX_DAYS = 92


class ProgrammeFilters(Schema):
    from_: Day | None = Field(None, alias="from", description="Default: today.")
    to: Day | None = Field(None, description="The last day. Default: six days after `from`.")
    days: int | None = Field(
        None,
        ge=1,
        le=MAX_DAYS,
        description="Number of days, instead of `to`. Without `from` the period begins today.",
        examples=[28],
    )
    status: Status | None = None
    genre: Line | None = Field(None, examples=["drama"])
    language: Spoken = None
    subtitles: Subtitled = None
    understands: Understood = []
    tag: AllTags = []
    movie_id: int | None = Field(None, ge=1, le=2**63 - 1, examples=[42])
    hall: Line | None = Field(
        None, description="Name of the hall; case does not matter.", examples=["Hall 1"]
    )


class ProgrammeMovieOut(MovieOut):
    screenings: list[ScreeningOut]


class ProgrammeDayOut(Schema):
    date: date
    movies: list[ProgrammeMovieOut]


class ProgrammeOut(Schema):
    from_: date = Field(alias="from")
    to: date
    days: list[ProgrammeDayOut]
    coming_up: list[MovieOut]
