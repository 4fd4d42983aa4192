"""What an address that is given by hand does to an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movies.media.urls import poster_url, trailer_url
from movies.models import Movie

NO_POSTER = {"poster_upload": "", "poster_widths": []}
NO_TRAILER = {"trailer_upload": ""}


def with_uploads_replaced(movie: Movie, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, with what an address among them does to an upload that stands in its place.

    The address under which the upload is shown changes nothing: who reads a movie and sends it
    back has not meant to replace anything.
    """
    changes = dict(fields)
    if movie.poster_upload and "poster" in fields:
        if fields["poster"] == poster_url(movie):
            del changes["poster"]
        else:
            changes |= NO_POSTER
    if movie.trailer_upload and "trailer" in fields:
        if fields["trailer"] == trailer_url(movie):
            del changes["trailer"]
        else:
            changes |= NO_TRAILER
    return changes
