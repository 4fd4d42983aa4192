from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.text import slugify
from ninja import Field, Schema
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from cinema.schemas import Line, Name
from movies.models import MAX_PROTAGONISTS, MAX_SCREENING_LENGTH, Movie, Screening

Status = Literal["coming-up", "starting", "running", "finished"]
Version = Literal["original", "subtitled", "dubbed"]
State = Literal["scheduled", "sold-out", "cancelled", "hidden"]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in text:
        raise ValueError("expected an http or https address")
    return text


def _plain_text(text: str) -> str:
    """NFC, with line ends and without other control characters."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def _written_out(value: object) -> object:
    """Refuse a number, which Pydantic would take for seconds since 1970."""
    if not isinstance(value, date) and not re.match(r"\d{4}-\d\d-\d\d", str(value)):
        raise ValueError("expected a date as in 2026-12-03")
    return value


def _within_years(value: date) -> date:
    if not 1870 <= value.year <= 2200:
        raise ValueError("expected a year from 1870 to 2200")
    return value


Text = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_plain_text)]
WebAddress = Annotated[Line, StringConstraints(max_length=500), AfterValidator(_web_address)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,4})?$")]
Day = Annotated[date, BeforeValidator(_written_out), AfterValidator(_within_years)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_within_years)]
#: Shown in the cinema's time zone, with the offset.
LocalTime = Annotated[
    datetime, PlainSerializer(lambda v: timezone.localtime(v).isoformat(), return_type=str)
]
Title = Annotated[Name, StringConstraints(max_length=300)]
Person = Annotated[Name, StringConstraints(max_length=200)]
Slug = Annotated[Line, StringConstraints(max_length=120, pattern=r"^[\w]+(-[\w]+)*$")]
Tag = Annotated[Name, AfterValidator(str.lower), StringConstraints(max_length=40)]
#: A hall's number is a name too.
HallName = Annotated[
    Name,
    StringConstraints(max_length=60),
    BeforeValidator(lambda v: str(v) if type(v) is int else v),
]


#: The default of a field that PATCH may leave out, and that is never null.
UNSET: Any = None


class GenreOut(Schema):
    slug: str = Field(examples=["science-fiction"])
    name: str = Field(examples=["Science Fiction"])


def _genre_name(value: object) -> object:
    """A genre as it is read back from the API serves as well as its name or slug."""
    return value.get("name") or value.get("slug") if isinstance(value, dict) else value


def _gives_a_slug(text: str) -> str:
    if not slugify(text, allow_unicode=True):
        raise ValueError("expected letters or digits")
    return text


GenreName = Annotated[
    Name,
    StringConstraints(max_length=60),
    AfterValidator(_gives_a_slug),
    BeforeValidator(_genre_name),
]


class MoviePatch(Schema):
    """What staff may change. What is left out stays; `status: null` gives it back to the clock."""

    model_config = ConfigDict(extra="forbid")

    name: Title = Field(UNSET, examples=["Cléo from 5 to 7"])
    slug: Slug = Field(UNSET, description="Default: made from the name.", examples=["cleo"])
    protagonists: list[Person] = Field(
        UNSET, min_length=1, max_length=MAX_PROTAGONISTS, examples=[["Agnès Varda"]]
    )
    overview: Text = Field("", examples=["Two hours in the life of a singer in Paris."])
    genres: list[GenreName] = Field([], max_length=20, examples=[["drama", "music"]])
    poster: WebAddress | None = None
    trailer: WebAddress | None = None
    start_date: Day = Field(UNSET, examples=["2026-12-03"])
    end_date: Day | None = Field(None, examples=["2026-12-30"])
    status: Status | None = Field(None, description="Set by hand. The clock moves it only forward.")
    original_language: Language | None = Field(None, examples=["fr"])
    release_year: int | None = Field(None, ge=1870, le=2200, examples=[1962])
    runtime_minutes: int | None = Field(None, ge=1, le=6000, examples=[90])
    tmdb_id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[499])

    @model_validator(mode="after")
    def _dates_in_order(self) -> MoviePatch:
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ValueError("end_date lies before start_date")
        return self


class MovieIn(MoviePatch):
    name: Title = Field(examples=["Cléo from 5 to 7"])
    protagonists: list[Person] = Field(
        min_length=1, max_length=MAX_PROTAGONISTS, examples=[["Agnès Varda", "Corinne Marchand"]]
    )
    start_date: Day = Field(examples=["2026-12-03"])


class MovieOut(Schema):
    id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    slug: str = Field(examples=["cleo-from-5-to-7"])
    protagonists: list[str] = Field(examples=[["Agnès Varda", "Corinne Marchand"]])
    overview: str
    genres: list[GenreOut]
    poster: str | None
    trailer: str | None
    start_date: date
    end_date: date | None
    status: Status
    ranking: int = Field(examples=[120])
    original_language: str | None = Field(examples=["fr"])
    release_year: int | None = Field(examples=[1962])
    runtime_minutes: int | None = Field(examples=[90])
    tmdb_id: int | None
    rating_average: float | None = Field(description="Mean of the stars.", examples=[4.2])
    rating_count: int = Field(examples=[31])
    created_at: LocalTime
    updated_at: LocalTime

    @staticmethod
    def resolve_genres(movie: Movie) -> list[object]:
        return list(movie.genres.all())

    @staticmethod
    def resolve_rating_average(movie: Movie) -> float | None:
        return None if movie.rating_average is None else round(movie.rating_average, 2)


class MovieFilters(Schema):
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    status: Status | None = None
    language: Line | None = Field(None, description="Original language.", examples=["fr"])
    person: Line | None = Field(
        None, description="One of the protagonists, by the full name.", examples=["Agnès Varda"]
    )
    year_from: int | None = Field(None, ge=0, le=9999, description="Release year.", examples=[1960])
    year_to: int | None = Field(None, ge=0, le=9999, examples=[1969])
    sort: Literal["name", "-ranking", "start_date", "-rating"] = "name"


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
        None, description="Spoken; default: the movie's.", examples=["fr"]
    )
    subtitles: Language | None = Field(None, examples=["en"])
    tags: list[Tag] = Field([], max_length=20, examples=[["35mm", "q&a"]])
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


class ScreeningFilters(Schema):
    movie_id: int | None = Field(None, ge=1)
    hall: Line | None = None
    state: State | None = None
    version: Version | None = None
    language: Line | None = Field(None, examples=["fr"])
    tag: Line | None = Field(None, examples=["35mm"])
    starts_from: Moment | None = Field(None, alias="from", description="Starts at or after.")
    starts_before: Moment | None = Field(None, alias="to", description="Starts before.")


class ProgrammeFilters(Schema):
    from_: Day | None = Field(None, alias="from", description="Default: today.")
    to: Day | None = Field(None, description="Included. Default: six days after `from`.")
    status: Status | None = None
    genre: Line | None = Field(None, examples=["drama"])
    language: Line | None = Field(None, description="Spoken in the screening.", examples=["fr"])
    tag: Line | None = Field(None, examples=["35mm"])


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
