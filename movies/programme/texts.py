"""What calendars, search engines and feeds are told in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from movies.languages import name_of
from movies.models import Movie, Screening
from movies.tmdb.provenance import ATTRIBUTION

#: Characters that neither iCalendar nor XML can hold, and line ends that only some readers take
#: for such. The API lets none of these in; an import by SQL may.
UNFIT: dict[int, str | None] = {
    **{code: None for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc"},
    **dict.fromkeys((0x0D, 0x85, 0x2028, 0x2029), "\n"),
    **dict.fromkeys((0xFFFE, 0xFFFF)),
    0x09: " ",
    0x0A: "\n",
}


def plain(text: str) -> str:
    """The text without what cannot be shown, one kind of line ends."""
    return text.replace("\r\n", "\n").translate(UNFIT)


def version_in_words(screening: Screening) -> str:
    """As in "Subtitled, French, English subtitles"."""
    words = [
        screening.version.capitalize(),
        name_of(screening.spoken_language) if screening.spoken_language else "",
        f"{name_of(screening.subtitles)} subtitles" if screening.subtitles else "",
    ]
    return ", ".join(word for word in words if word)


def credit(movie: Movie) -> str:
    """Whom to credit for what is told of the movie; empty if nobody."""
    return ATTRIBUTION if movie.tmdb_fields else ""


def credits_of(movie_ids: Collection[int]) -> str:
    """Whom to credit for what is told of these movies; empty if nobody."""
    is_theirs = Movie.objects.filter(pk__in=movie_ids).exclude(tmdb_fields=[]).exists()
    return ATTRIBUTION if is_theirs else ""
