"""Posters and trailers that come with a film's form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from cinema.errors import ApiError
from cinema.office.pages import Refusal
from movies.media import services
from movies.media.errors import NoPoster, NoTrailer

FILES: dict[str, Callable[..., object]] = {
    "poster_file": services.set_poster,
    "trailer_file": services.set_trailer,
}
REMOVALS: dict[str, Callable[..., object]] = {
    "without_poster": services.remove_poster,
    "without_trailer": services.remove_trailer,
}


def write_files(movie_id: int, entries: Mapping[str, Any]) -> None:
    """Take the files in, as the API does.

    Raises:
        Refusal: A file is not what it should be, or the storage is away.
    """
    for field, remove in REMOVALS.items():
        if entries.get(field):
            with suppress(NoPoster, NoTrailer):  # gone already
                remove(movie_id=movie_id)
    for field, take in FILES.items():
        if file := entries.get(field):
            try:
                take(movie_id=movie_id, file=file)
            except ApiError as error:
                raise Refusal(field, error.detail) from error
