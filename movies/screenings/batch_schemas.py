"""Shapes for many screenings at once: copies of days, and patterns."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, PlainSerializer, ValidationInfo, field_validator

from cinema.errors import Problem
from cinema.schemas import Day
from movies.screenings.schemas import ScreeningOut, StandingOut
from movies.types import (
    ClockTime,
    HallName,
    Language,
    LocalTime,
    Tags,
    Version,
    WebAddress,
)

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
#: In the order of `date.weekday`.
WEEKDAYS: tuple[Weekday, ...] = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
#: The last day that the programme can be asked for.
LAST_DAY = date(2200, 12, 31)
MAX_PATTERN_DAYS = 366


class BatchRules(Schema):
    model_config = ConfigDict(extra="forbid")

    on_collision: Literal["refuse", "skip"] = Field(
        "refuse",
        description="Where a hall is taken: `refuse` all, or `skip` what collides. With `skip` "
        "the same request can be sent again.",
    )
    doubled_hour: Literal["first", "second"] = Field(
        "first", description="Which one, at a time that the clock shows twice in autumn."
    )
    dry_run: bool = Field(False, description="Answer as if it were done, and write nothing.")


class ScreeningCopyIn(BatchRules):
    from_: Day = Field(alias="from", description="The first day.", examples=["2026-12-03"])
    to: Day = Field(description="What the first day becomes.", examples=["2026-12-10"])
    days: int = Field(1, ge=1, le=31, description="How many: 7 are a week.", examples=[7])
    hall: HallName | None = Field(None, description="Only this one.", examples=[None])
    movie_id: int | None = Field(None, ge=1, description="Only this one.", examples=[None])
    include_cancelled: bool = Field(False, description="Copied as scheduled.")
    with_booking_urls: bool = Field(
        False, description="A booking link belongs to one screening and is left behind otherwise."
    )

    @field_validator("to")
    @classmethod
    def _to_other_days(cls, to: date, info: ValidationInfo) -> date:
        if to == info.data.get("from_"):
            raise ValueError("the same day as `from`")
        return to

    @field_validator("days")
    @classmethod
    def _within_the_calendar(cls, days: int, info: ValidationInfo) -> int:
        to = info.data.get("to")
        if to and to + timedelta(days=days - 1) > LAST_DAY:
            raise ValueError(f"the calendar ends on {LAST_DAY}")
        return days


class ScreeningPatternIn(BatchRules):
    movie_id: int = Field(ge=1, examples=[42])
    hall: HallName = Field(examples=["Hall 1"])
    times: list[ClockTime] = Field(
        min_length=1,
        max_length=48,
        description="By the clock. 00:30 is in the night that follows the day.",
        examples=[["18:00", "20:30"]],
    )
    from_: Day = Field(alias="from", examples=["2026-12-03"])
    to: Day = Field(description="Included.", examples=["2026-12-09"])
    weekdays: list[Weekday] | None = Field(
        None, min_length=1, max_length=7, description="Left out: all.", examples=[None]
    )
    length_minutes: int | None = Field(
        None, ge=1, le=24 * 60, description="Left out: the movie's running time.", examples=[None]
    )
    version: Version = "original"
    language: Language | None = Field(
        None,
        description="Spoken. Default: the movie's, or unknown if dubbed.",
        examples=["fr"],
    )
    subtitles: Language | None = Field(None, examples=["en"])
    tags: Tags = Field([], examples=[["35mm"]])
    booking_url: WebAddress | None = None
    state: Literal["scheduled", "sold-out", "hidden"] = "scheduled"

    @field_validator("times")
    @classmethod
    def _each_time_once(cls, times: list[time]) -> list[time]:
        if len(set(times)) < len(times):
            raise ValueError("a time is listed twice")
        return times

    @field_validator("to")
    @classmethod
    def _in_order(cls, to: date, info: ValidationInfo) -> date:
        first = info.data.get("from_", to)
        if to < first:
            raise ValueError("`to` lies before `from`")
        if (to - first).days >= MAX_PATTERN_DAYS:
            raise ValueError(f"at most {MAX_PATTERN_DAYS} days at once")
        return to


#: Without an offset: it may be no moment.
ClockReading = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str)]


class CreatedScreeningOut(ScreeningOut):
    id: int | None = Field(description="null in a dry run.", examples=[310])  # type: ignore[assignment]


class UnplacedOut(Schema):
    """A screening that was wanted and cannot be."""

    reason: Literal["hall-taken", "cancelled", "movie-finished", "movie-withdrawn"]
    source_id: int | None = Field(description="The one that it would copy.", examples=[310])
    movie_id: int = Field(examples=[42])
    movie: str = Field(examples=["Cléo from 5 to 7"])
    hall: str = Field(examples=["Hall 1"])
    date: date
    starts_at: LocalTime
    ends_at: LocalTime
    standing: list[StandingOut] = Field(description="What is in its way; at most 20.")
    among_new: list[LocalTime] = Field(
        description="The starts of those before it in the same request that are in its way; at "
        "most 20."
    )


class ClockNoteOut(Schema):
    """A screening at a time that the clock leaves out, and that moves on, or shows twice."""

    movie_id: int = Field(examples=[42])
    hall: str = Field(examples=["Hall 1"])
    date: date
    reading: ClockReading = Field(
        description="What was wanted, by the clock.", examples=["2027-03-28T02:30:00"]
    )
    change: Literal["skipped", "doubled"]
    starts_at: LocalTime = Field(examples=["2027-03-28T03:30:00+02:00"])


class PlacedOut(Schema):
    created: list[CreatedScreeningOut]
    left_out: list[UnplacedOut]
    clock_changes: list[ClockNoteOut]
    dry_run: bool


class HallsTakenProblem(Problem):
    screening_ids: list[int] = Field(examples=[[310]])
    collisions: list[UnplacedOut]
