"""The parts of TMDb's answers that Cinema uses.

Each field is validated by itself: a field that is missing, null, of the wrong type, too long or out
of range is unknown, and the rest of the answer stays usable. Only the id is required.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WrapValidator,
)

from cinema.schemas import Name
from movies.types import Language, SeriesName, Text, Title
from movies.types import Person as PersonName

T = TypeVar("T")

MAX_ID = 2**31 - 1
#: The longest list that is read; a blockbuster names a thousand people.
MAX_ITEMS = 1000
MAX_TEXT = 10_000


def _if_it_fits(value: object, validate: Callable[[object], Any]) -> Any:
    try:
        return validate(value)
    except ValueError:
        return None


def _objects(value: object) -> list[dict[str, object]]:
    found = value if isinstance(value, list) else []
    return [item for item in found[:MAX_ITEMS] if isinstance(item, dict)]


def _identified(value: object) -> list[dict[str, object]]:
    """Drop objects without an id."""
    return [
        item
        for item in _objects(value)
        if type(number := item.get("id")) is int and 0 < number <= MAX_ID
    ]


def _year(value: object) -> object:
    """Take the year of a date such as 1999-10-15; TMDb writes "" for an unknown date."""
    if isinstance(value, str):
        return int(value[:4]) if re.match(r"[0-9]{4}", value) else None
    return value


def _cut(value: object) -> object:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _inside(name: str, *path: str) -> Any:
    """Read the list at the path in TMDb's answer, and by its name in our table."""
    return Field([], validation_alias=AliasChoices(AliasPath(*path), name))


Maybe = Annotated[T | None, WrapValidator(_if_it_fits)]
Listed = Annotated[list[T], BeforeValidator(_objects)]
Id = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]
Year = Annotated[int, Field(ge=1870, le=2200), BeforeValidator(_year)]
# ASCII alone: repeated, `\w` of all of Unicode takes 10 MB in every process.
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_-]{1,100}\.(jpg|jpeg|png|webp)$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{5,20}$")]


class Payload(BaseModel):
    model_config = ConfigDict(frozen=True)


class NamedGenre(Payload):
    id: Maybe[Id] = None
    name: Maybe[Annotated[Name, StringConstraints(max_length=60)]] = None


class Keyword(Payload):
    name: Maybe[Annotated[Name, StringConstraints(max_length=80)]] = None


class CastMember(Payload):
    name: Maybe[PersonName] = None
    order: Maybe[int] = None


class CrewMember(Payload):
    name: Maybe[PersonName] = None
    job: Maybe[str] = None


class Image(Payload):
    file_path: Maybe[Path] = None
    iso_639_1: Maybe[Code] = None
    vote_average: Maybe[float] = None


class Video(Payload):
    site: Maybe[str] = None
    type: Maybe[str] = None
    key: Maybe[Key] = None
    official: Maybe[bool] = None
    iso_639_1: Maybe[Code] = None
    published_at: Maybe[str] = None


class FilmSummary(Payload):
    """A film in a list or a search."""

    id: Id
    title: Maybe[Title] = None
    original_title: Maybe[Title] = None
    overview: Maybe[Annotated[Text, BeforeValidator(_cut)]] = None
    original_language: Maybe[Language] = None
    year: Maybe[Year] = Field(None, validation_alias=AliasChoices("year", "release_date"))
    poster_path: Maybe[Path] = None


class Details(FilmSummary):
    """A film with everything that `Client.details` asks for. Our table has it in the same form."""

    runtime: Maybe[Annotated[int, Field(ge=1, le=6000)]] = None
    genres: Listed[NamedGenre] = []
    cast: Listed[CastMember] = _inside("cast", "credits", "cast")
    crew: Listed[CrewMember] = _inside("crew", "credits", "crew")
    keywords: Listed[Keyword] = _inside("keywords", "keywords", "keywords")
    posters: Listed[Image] = _inside("posters", "images", "posters")
    videos: Listed[Video] = _inside("videos", "videos", "results")
    collection: Maybe[SeriesName] = Field(
        None,
        validation_alias=AliasChoices(AliasPath("belongs_to_collection", "name"), "collection"),
    )


class FilmPage(Payload):
    results: Annotated[list[FilmSummary], BeforeValidator(_identified)]
    total_pages: Maybe[Annotated[int, Field(ge=0)]] = None
    total_results: Maybe[Annotated[int, Field(ge=0)]] = None


class GenreList(Payload):
    genres: Listed[NamedGenre]
