"""Texts about screenings and the cinema for calendars, search engines and feeds."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from django.conf import settings

from cinema.http import absolute_url
from movies.languages import language_name
from movies.models import Movie, Screening
from movies.tmdb.schemas import ATTRIBUTION

#: Replacements for characters that iCalendar or XML cannot contain, and for unusual line ends. The
#: API accepts none of them, but rows written by SQL may contain them.
UNFIT: dict[int, str | None] = {
    **{code: None for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc"},
    **dict.fromkeys((0x0D, 0x85, 0x2028, 0x2029), "\n"),
    **dict.fromkeys((0xFFFE, 0xFFFF)),
    0x09: " ",
    0x0A: "\n",
}


def plain(text: str) -> str:
    """The text without unfit characters, with one kind of line ends."""
    return text.replace("\r\n", "\n").translate(UNFIT)


def describe_version(screening: Screening) -> str:
    """A description such as "Subtitled, French, English subtitles"."""
    words = [
        screening.version.capitalize(),
        language_name(screening.spoken_language) if screening.spoken_language else "",
        f"{language_name(screening.subtitles)} subtitles" if screening.subtitles else "",
    ]
    return ", ".join(word for word in words if word)


def credit(movie: Movie) -> str:
    """The attribution that the movie's data require, or an empty text."""
    return ATTRIBUTION if movie.tmdb_fields else ""


def credits_of(movie_ids: Collection[int]) -> str:
    """The attribution that the data of these movies require, or an empty text."""
    is_theirs = Movie.objects.filter(pk__in=movie_ids).exclude(tmdb_fields=[]).exists()
    return ATTRIBUTION if is_theirs else ""


def address_line() -> str:
    """The cinema's name and address."""
    city = f"{settings.CINEMA_POSTAL_CODE} {settings.CINEMA_CITY}".strip()
    parts = [settings.CINEMA_NAME, settings.CINEMA_STREET, city]
    return ", ".join(part for part in parts if part)


def movie_theater() -> dict[str, object]:
    """The cinema as a node of schema.org. Search engines show no event without an address."""
    address = {
        "streetAddress": settings.CINEMA_STREET,
        "postalCode": settings.CINEMA_POSTAL_CODE,
        "addressLocality": settings.CINEMA_CITY,
        "addressCountry": settings.CINEMA_COUNTRY,
    }
    known = {key: value for key, value in address.items() if value}
    theater = {
        "@type": "MovieTheater",
        "@id": absolute_url("/#cinema"),
        "name": settings.CINEMA_NAME,
        "url": settings.CINEMA_WEBSITE or absolute_url("/"),
        "telephone": settings.CINEMA_PHONE,
        "address": {"@type": "PostalAddress", **known} if known else None,
    }
    return {key: value for key, value in theater.items() if value}
