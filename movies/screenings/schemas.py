"""Schemas of screenings: single ones, copies of days, and weekly patterns."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, cast, get_args

from ninja import Field, Schema
from pydantic import (
    AfterValidator,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cinema.errors import Problem
from cinema.schemas import Day, Line, Moment, StrictSchema
from movies.days import ClockChange, cinema_day, local_time
from movies.models import MAX_SCREENING_LENGTH, Screening
from movies.types import (
    UNSET,
    ClockTime,
    HallName,
    Language,
    LocalTime,
    State,
    Status,
    Tags,
    Version,
    WebAddress,
)


class ScreeningPatch(StrictSchema):
    """Changes by staff. Omitted fields keep their values."""

    movie_id: int = Field(UNSET, ge=1, examples=[42])
    hall: HallName = Field(UNSET, examples=["Hall 1"])
    starts_at: Moment = Field(UNSET, examples=["2026-12-03T20:15:00+01:00"])
    ends_at: Moment | None = Field(
        None, description="Default: the start plus the running time.", examples=[None]
    )
    version: Version = "original"
    language: Language | None = Field(
        None,
        description="Spoken language. Default: the movie's, or unknown if dubbed. A tag of BCP 47, "
        "also as an older or longer code (`fra`), which is shown as `fr`.",
        examples=["fr"],
    )
    subtitles: Language | None = Field(None, examples=["en"])
    tags: Tags = Field([], examples=[["35mm", "q&a"]])
    booking_url: WebAddress | None = None
    state: State = "scheduled"

    @model_validator(mode="after")
    def _times_in_order(self) -> ScreeningPatch:
        if self.starts_at and self.ends_at:
            check_screening_times(self.starts_at, self.ends_at)
        return self


class ScreeningIn(ScreeningPatch):
    movie_id: int = Field(ge=1, examples=[42])
    hall: HallName = Field(examples=["Hall 1"])
    starts_at: Moment = Field(examples=["2026-12-03T20:15:00+01:00"])


def check_screening_times(starts_at: datetime, ends_at: datetime) -> None:
    """Raises: ValueError: The screening ends before it starts, or lasts longer than a day."""
    if ends_at <= starts_at:
        raise ValueError("ends_at does not lie after starts_at")
    if ends_at - starts_at > MAX_SCREENING_LENGTH:
        raise ValueError("a screening lasts at most 24 hours")


class ScreeningOut(Schema):
    id: int = Field(examples=[310])
    movie_id: int = Field(examples=[42])
    hall: str = Field(examples=["Hall 1"])
    starts_at: LocalTime
    ends_at: LocalTime
    version: Version
    language: str | None = Field(examples=["fr"])
    subtitles: str | None = Field(examples=["en"])
    tags: list[str] = Field(examples=[["35mm"]])
    booking_url: str | None
    state: State

    @staticmethod
    def resolve_hall(screening: Screening) -> str:
        return screening.hall.name


class StandingOut(Schema):
    """An existing screening in the hall."""

    id: int = Field(examples=[310])
    movie_id: int = Field(examples=[42])
    movie: str = Field(examples=["Cléo from 5 to 7"])
    hall: str = Field(examples=["Hall 1"])
    starts_at: LocalTime
    ends_at: LocalTime
    state: State

    @classmethod
    def of(cls, screening: Screening) -> StandingOut:
        return cls(
            id=screening.pk,
            movie_id=screening.movie_id,
            movie=screening.movie.name,
            hall=screening.hall.name,
            starts_at=local_time(screening.starts_at),
            ends_at=local_time(screening.ends_at),
            state=cast("State", screening.state),
        )


class HallTakenProblem(Problem):
    screening_ids: list[int] = Field(examples=[[310]])
    screenings: list[StandingOut]


Spoken = Annotated[
    Language | None,
    Field(
        description="Spoken; of a screening that names no language, the movie's unless it is "
        "dubbed. `zh` finds `zh-Hant` too.",
        examples=["fr"],
    ),
]
Subtitled = Annotated[Language | None, Field(description="In the subtitles.", examples=["en"])]
Understood = Annotated[
    list[Language],
    Field(
        max_length=20,
        description="Spoken or in the subtitles, or without words. Of several, any.",
        examples=[["en"]],
    ),
]
AllTags = Annotated[
    list[Annotated[Line, AfterValidator(str.lower)]],
    Field(
        max_length=20,
        description="Such as `audio-description`. Of several, all.",
        examples=[["35mm"]],
    ),
]


class ScreeningFilters(Schema):
    movie_id: int | None = Field(None, ge=1)
    hall: Line | None = None
    state: State | None = None
    version: Version | None = None
    status: Status | None = Field(None, description="Status of the movie.")
    genre: Line | None = Field(None, description="Slug of a genre.", examples=["drama"])
    language: Spoken = None
    subtitles: Subtitled = None
    understands: Understood = []
    tag: AllTags = []
    starts_from: Moment | None = Field(None, alias="from", description="Start then or later.")
    starts_before: Moment | None = Field(None, alias="to", description="Start before then.")


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
#: The days, in the order of `date.weekday`.
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
#: The last day that the programme can be asked for.
LAST_DAY = date(2200, 12, 31)
MAX_PATTERN_DAYS = 366


class BatchRules(StrictSchema):
    on_collision: Literal["refuse", "skip"] = Field(
        "refuse",
        description="If a hall is taken: `refuse` all screenings, or `skip` those that collide. "
        "With `skip` the same request can be sent again.",
    )
    doubled_hour: Literal["first", "second"] = Field(
        "first", description="The occurrence to use of a time that the clock shows twice in autumn."
    )
    dry_run: bool = Field(False, description="Return the same response, and write nothing.")


class ScreeningCopyIn(BatchRules):
    from_: Day = Field(alias="from", description="The first day to copy.", examples=["2026-12-03"])
    to: Day = Field(description="The day that the first day is copied to.", examples=["2026-12-10"])
    days: int = Field(1, ge=1, le=31, description="Number of days; 7 for a week.", examples=[7])
    hall: HallName | None = Field(None, description="Copy this hall only.", examples=[None])
    movie_id: int | None = Field(None, ge=1, description="Copy this movie only.", examples=[None])
    include_cancelled: bool = Field(False, description="Copy cancelled ones, as scheduled.")
    with_booking_urls: bool = Field(
        False, description="Copy booking links too. A link usually belongs to one screening."
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
        description="Local times. 00:30 is in the night after the day.",
        examples=[["18:00", "20:30"]],
    )
    from_: Day = Field(alias="from", examples=["2026-12-03"])
    to: Day = Field(description="The last day.", examples=["2026-12-09"])
    weekdays: list[Weekday] | None = Field(
        None, min_length=1, max_length=7, description="Default: all.", examples=[None]
    )
    length_minutes: int | None = Field(
        None, ge=1, le=24 * 60, description="Default: the movie's running time.", examples=[None]
    )
    version: Version = "original"
    language: Language | None = Field(
        None, description="Spoken. Default: the movie's, or unknown if dubbed.", examples=["fr"]
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


#: A local time without an offset, which may not exist on that day.
ClockReading = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str)]


class CreatedScreeningOut(ScreeningOut):
    id: int | None = Field(description="Null in a dry run.", examples=[310])  # type: ignore[assignment]


UnplacedReason = Literal["hall-taken", "cancelled", "movie-finished", "movie-withdrawn"]


class UnplacedOut(Schema):
    """A requested screening that cannot be written."""

    reason: UnplacedReason
    source_id: int | None = Field(description="The screening to be copied.", examples=[310])
    movie_id: int = Field(examples=[42])
    movie: str = Field(examples=["Cléo from 5 to 7"])
    hall: str = Field(examples=["Hall 1"])
    date: date
    starts_at: LocalTime
    ends_at: LocalTime
    standing: list[StandingOut] = Field(description="Existing screenings in the way, at most 20.")
    among_new: list[LocalTime] = Field(
        description="Starts of earlier screenings of the request in the way, at most 20."
    )


class ClockNoteOut(Schema):
    """A screening at a time that the clock skips, which moves it, or shows twice."""

    movie_id: int = Field(examples=[42])
    hall: str = Field(examples=["Hall 1"])
    date: date
    reading: ClockReading = Field(
        description="The requested local time.", examples=["2027-03-28T02:30:00"]
    )
    change: ClockChange
    starts_at: LocalTime = Field(examples=["2027-03-28T03:30:00+02:00"])

    @classmethod
    def of(cls, screening: Screening, reading: datetime, change: ClockChange) -> ClockNoteOut:
        return cls(
            movie_id=screening.movie_id,
            hall=screening.hall.name,
            date=cinema_day(screening.starts_at),
            reading=reading,
            change=change,
            starts_at=screening.starts_at,
        )


class PlacedOut(Schema):
    created: list[CreatedScreeningOut]
    left_out: list[UnplacedOut]
    clock_changes: list[ClockNoteOut]
    dry_run: bool


class HallsTakenProblem(Problem):
    screening_ids: list[int] = Field(examples=[[310]])
    collisions: list[UnplacedOut]
