from __future__ import annotations

from datetime import date

from ninja import Field, Schema

from cinema.schemas import Day, Line
from movies.schemas import MovieOut
from movies.screenings.schemas import AllTags, ScreeningOut, Spoken, Subtitled, Understood
from movies.types import Status

MAX_DAYS = 92


class ProgrammeFilters(Schema):
    from_: Day | None = Field(None, alias="from", description="Default: today.")
    to: Day | None = Field(None, description="Included. Default: six days after `from`.")
    days: int | None = Field(
        None,
        ge=1,
        le=MAX_DAYS,
        description="Instead of `to`: so many days, `from` included. Without `from` they move on"
        " with the calendar, as a subscription needs it.",
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
        None, description="By its name; case does not matter.", examples=["Hall 1"]
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
