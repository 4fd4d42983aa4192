from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, model_validator

from cinema.errors import Problem
from cinema.schemas import Line, Moment
from movies.models import MAX_SCREENING_LENGTH, Screening
from movies.types import (
    UNSET,
    HallName,
    Language,
    LocalTime,
    State,
    Status,
    Tags,
    Version,
    WebAddress,
)


class ScreeningPatch(Schema):
    """What staff may change. What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    movie_id: int = Field(UNSET, ge=1, examples=[42])
    hall: HallName = Field(UNSET, examples=["Hall 1"])
    starts_at: Moment = Field(UNSET, examples=["2026-12-03T20:15:00+01:00"])
    ends_at: Moment | None = Field(
        None, description="Left out: the start plus the running time.", examples=[None]
    )
    version: Version = "original"
    language: Language | None = Field(
        None,
        description="Spoken. Default: the movie's, or unknown if dubbed. A tag of BCP 47, also as "
        "an older or longer code (`fra`), which is shown as `fr`.",
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
    """Raises ValueError if the screening ends before it starts, or lasts longer than a day."""
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
    """A screening that is in the hall already."""

    id: int = Field(examples=[310])
    movie_id: int = Field(examples=[42])
    movie: str = Field(examples=["Cléo from 5 to 7"])
    hall: str = Field(examples=["Hall 1"])
    starts_at: LocalTime
    ends_at: LocalTime
    state: State


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
    status: Status | None = Field(None, description="The movie's.")
    genre: Line | None = Field(None, description="The movie's, by its slug.", examples=["drama"])
    language: Spoken = None
    subtitles: Subtitled = None
    understands: Understood = []
    tag: AllTags = []
    starts_from: Moment | None = Field(None, alias="from", description="Starts at or after.")
    starts_before: Moment | None = Field(None, alias="to", description="Starts before.")
