"""Under which addresses a movie's poster and trailer are found."""

from __future__ import annotations

from django.core.files.storage import default_storage

from cinema.http import absolute_url
from movies.media.files import EXTENSIONS, rendition_name
from movies.models import Movie


def poster_url(movie: Movie, width: int | None = None) -> str | None:
    """The poster that was uploaded, else the address that was given, else None.

    An uploaded one at least `width` pixels wide, if it is as wide; without `width` the widest.
    """
    if not movie.poster_upload:
        return movie.poster
    wide_enough = (found for found in movie.poster_widths if width and found >= width)
    return _rendition_url(movie, next(wide_enough, movie.poster_widths[-1]), "jpg")


def poster_srcset(movie: Movie) -> dict[str, str] | None:
    """What `srcset` of a `<source>` takes, by format; None without an uploaded poster."""
    if not movie.poster_upload:
        return None
    return {
        encoding: ", ".join(
            f"{_rendition_url(movie, width, extension)} {width}w" for width in movie.poster_widths
        )
        for encoding, extension in EXTENSIONS.items()
    }


def trailer_url(movie: Movie) -> str | None:
    """The trailer that was uploaded, else the address that was given, else None."""
    return media_url(movie.trailer_upload) if movie.trailer_upload else movie.trailer


def media_url(name: str) -> str:
    return absolute_url(default_storage.url(name))


def _rendition_url(movie: Movie, width: int, extension: str) -> str:
    return media_url(rendition_name(movie.poster_upload, width, extension))
