"""The fields of a movie, made from TMDb's details."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from movies.metadata import as_protagonists
from movies.models import MAX_DIRECTORS, MAX_KEYWORDS
from movies.tmdb.models import TmdbGenre
from movies.tmdb.payloads import Details, FilmSummary, Video

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
        "keywords": _once(keyword.name for keyword in details.keywords)[:MAX_KEYWORDS],
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
    leading = _once(member.name for member in cast)[:MAX_PROTAGONISTS]
    directing = directors(details)
    return as_protagonists(leading, directing) or directing[:MAX_PROTAGONISTS]


def directors(details: Details) -> list[str]:
    return _once(m.name for m in details.crew if m.job == "Director")


def genres(details: Details) -> list[str]:
    """Return the slugs of the genres that staff have mapped, and TMDb's names of the others."""
    numbers = [genre.id for genre in details.genres if genre.id]
    known = TmdbGenre.objects.filter(pk__in=numbers).exclude(genre=None).select_related("genre")
    ours = {row.pk: row.genre.slug for row in known if row.genre}
    return _once(ours.get(genre.id or 0, genre.name) for genre in details.genres)


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


def _once(names: Iterable[str | None]) -> list[str]:
    """Return each known name once, in order."""
    return list(dict.fromkeys(name for name in names if name))
