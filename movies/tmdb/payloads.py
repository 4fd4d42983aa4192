"""The parts of TMDb's answers that Cinema uses, and the fields of a movie that are made of them.

Each field is validated by itself: a field that is missing, null, of the wrong type, too long or out
of range is unknown, and the rest of the answer stays usable. Only the id is required.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from django.conf import settings
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
from movies.metadata import as_protagonists
from movies.models import MAX_DIRECTORS, MAX_KEYWORDS
from movies.tmdb.models import TmdbGenre
from movies.types import Language, SeriesName, Text, Title
from movies.types import Person as PersonName

T = TypeVar("T")

MAX_ID = 2**31 - 1
#: The longest list that is read; a blockbuster names a thousand people.
MAX_ITEMS = 1000
MAX_TEXT = 10_000


def _valid_or_none(value: object, validate: Callable[[object], Any]) -> Any:
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


def _truncate(value: object) -> object:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _nested_list(name: str, *path: str) -> Any:
    """Read the list at the path in TMDb's answer, and by its name in our table."""
    return Field([], validation_alias=AliasChoices(AliasPath(*path), name))


Maybe = Annotated[T | None, WrapValidator(_valid_or_none)]
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
    overview: Maybe[Annotated[Text, BeforeValidator(_truncate)]] = None
    original_language: Maybe[Language] = None
    year: Maybe[Year] = Field(None, validation_alias=AliasChoices("year", "release_date"))
    poster_path: Maybe[Path] = None


class Details(FilmSummary):
    """A film with everything that `Client.details` asks for. Our table has it in the same form."""

    runtime: Maybe[Annotated[int, Field(ge=1, le=6000)]] = None
    genres: Listed[NamedGenre] = []
    cast: Listed[CastMember] = _nested_list("cast", "credits", "cast")
    crew: Listed[CrewMember] = _nested_list("crew", "credits", "crew")
    keywords: Listed[Keyword] = _nested_list("keywords", "keywords", "keywords")
    posters: Listed[Image] = _nested_list("posters", "images", "posters")
    videos: Listed[Video] = _nested_list("videos", "videos", "results")
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


# --- fields of a movie

POSTER_SIZE = "w500"

IMAGE_URL = "https://image.tmdb.org/t/p"

#: The fields that TMDb can fill, with their values where TMDb knows nothing.
EMPTY: dict[str, Any] = {
    "name": "", "protagonists": [], "overview": "", "genres": [], "keywords": [], "directors": [],
    "series": "", "poster": None, "trailer": None, "original_language": None,
    "release_year": None, "runtime_minutes": None,
}  # fmt: skip
#: The fields without which no movie can be created.
REQUIRED = ("name", "protagonists")

MAX_PROTAGONISTS = 10
#: "Toy Story Collection", "Alien Filmreihe", "Matrix - Saga", "Harry Potter (Reihe)".
WORD_FOR_COLLECTION = re.compile(
    r"[\s:–—-]*[(\[]?\b(?:collection|colección|collezione|coleção|kolekcja|film series|filmreihe|"
    r"reihe|sammlung|saga)[)\]]?$",
    re.IGNORECASE,
)


def movie_fields(details: Details) -> dict[str, Any]:
    """Return all fields of `EMPTY`, as the services of `movies` take them."""
    collection = details.collection or ""
    return {
        "name": details.title or details.original_title or "",
        "protagonists": protagonists(details),
        "overview": details.overview or "",
        "genres": genres(details),
        "keywords": _distinct(keyword.name for keyword in details.keywords)[:MAX_KEYWORDS],
        "directors": directors(details)[:MAX_DIRECTORS],
        "series": WORD_FOR_COLLECTION.sub("", collection) or collection,
        "poster": poster_url(details.poster_path or _best_poster(details)),
        "trailer": _trailer(details),
        "original_language": details.original_language,
        "release_year": details.year,
        "runtime_minutes": details.runtime,
    }


def summary_fields(film: FilmSummary) -> dict[str, Any]:
    """Return the fields that a list of films shows."""
    title = film.title or film.original_title or "?"
    return {
        "tmdb_id": film.id,
        "title": title,
        "original_title": film.original_title or title,
        "year": film.year,
        "overview": film.overview or "",
        "poster": poster_url(film.poster_path),
    }


def protagonists(details: Details) -> list[str]:
    """Return the leading cast, or the directors of a film without a cast."""
    # People without a place in the credits come last, in the order of the answer.
    cast = sorted(details.cast, key=lambda member: (member.order is None, member.order))
    leading = _distinct(member.name for member in cast)[:MAX_PROTAGONISTS]
    directing = directors(details)
    return as_protagonists(leading, directing) or directing[:MAX_PROTAGONISTS]


def directors(details: Details) -> list[str]:
    return _distinct(m.name for m in details.crew if m.job == "Director")


def genres(details: Details) -> list[str]:
    """Return the slugs of the genres that staff have mapped, and TMDb's names of the others."""
    numbers = [genre.id for genre in details.genres if genre.id]
    known = TmdbGenre.objects.filter(pk__in=numbers).exclude(genre=None).select_related("genre")
    ours = {row.pk: row.genre.slug for row in known if row.genre}
    return _distinct(ours.get(genre.id or 0, genre.name) for genre in details.genres)


def poster_url(path: str | None) -> str | None:
    return f"{IMAGE_URL}/{POSTER_SIZE}{path}" if path else None


def _best_poster(details: Details) -> str | None:
    """Return the poster with the best vote, one without words first."""
    posters = [image for image in details.posters if image.file_path]
    posters.sort(key=lambda image: (image.iso_639_1 is not None, -(image.vote_average or 0)))
    return posters[0].file_path if posters else None


def _trailer(details: Details) -> str | None:
    """Return a trailer on YouTube: official ones first, then our language, then the newest."""
    language, _, _ = settings.TMDB_LANGUAGE.partition("-")

    def rank(video: Video) -> tuple[bool, bool, str]:
        return video.official is True, video.iso_639_1 == language, video.published_at or ""

    trailers = [
        video
        for video in details.videos
        if video.site == "YouTube" and video.type == "Trailer" and video.key
    ]
    best = max(trailers, key=rank, default=None)
    return f"https://www.youtube.com/watch?v={best.key}" if best else None


def _distinct(names: Iterable[str | None]) -> list[str]:
    """Return each known name once, in order."""
    return list(dict.fromkeys(name for name in names if name))
