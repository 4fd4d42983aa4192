from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.db import transaction

from cinema.locks import hold_shared
from movies import selectors
from movies.media.errors import FileTooLarge, NoPoster, NoTrailer
from movies.media.files import LOCK, MB, save_missing
from movies.media.images import read_poster
from movies.media.replacing import NO_POSTER, NO_TRAILER
from movies.media.urls import poster_url, trailer_url
from movies.media.videos import trailer_name
from movies.models import Movie


def set_poster(*, movie_id: int, file: IO[bytes]) -> Movie:
    """Make the image the movie's poster, in place of an address or of an earlier one.

    Raises:
        MovieNotFound: There is none.
        FileTooLarge, FileRefused: The file is not an image that can be a poster.
        StorageAway: It could not be saved.
    """
    selectors.get_movie(movie_id)  # before the work that would be for nothing
    _check_size(file, settings.POSTER_MAX_MB)
    poster = read_poster(file)
    files = {name: io.BytesIO(content) for name, content in poster.files.items()}
    columns = {"poster": None, "poster_upload": poster.stem, "poster_widths": poster.widths}
    return _name_files(movie_id, files, columns)


def set_trailer(*, movie_id: int, file: IO[bytes]) -> Movie:
    """Make the video the movie's trailer, in place of an address or of an earlier one.

    Raises:
        MovieNotFound: There is none.
        FileTooLarge, FileRefused: The file is not a whole video.
        StorageAway: It could not be saved.
    """
    selectors.get_movie(movie_id)
    _check_size(file, settings.TRAILER_MAX_MB)
    name = trailer_name(file)
    return _name_files(movie_id, {name: file}, {"trailer": None, "trailer_upload": name})


def remove_poster(*, movie_id: int) -> None:
    """Raises: MovieNotFound, NoPoster: As their names say."""
    with transaction.atomic():
        movie = selectors.get_movie(movie_id, for_update=True)
        if poster_url(movie) is None:
            raise NoPoster(movie_id)
        _write(movie, {"poster": None, **NO_POSTER})


def remove_trailer(*, movie_id: int) -> None:
    """Raises: MovieNotFound, NoTrailer: As their names say."""
    with transaction.atomic():
        movie = selectors.get_movie(movie_id, for_update=True)
        if trailer_url(movie) is None:
            raise NoTrailer(movie_id)
        _write(movie, {"trailer": None, **NO_TRAILER})


def _check_size(file: IO[bytes], limit_mb: int) -> None:
    """Once more for whoever took the file in by another way than the API."""
    if file.seek(0, 2) > limit_mb * MB:
        raise FileTooLarge(limit_mb)
    file.seek(0)


def _name_files(movie_id: int, files: Mapping[str, IO[bytes]], columns: dict[str, Any]) -> Movie:
    """Save the files, then have the row name them. What is named no more is the clean-up's."""
    save_missing(files)
    with transaction.atomic():
        # A file of this content that lay there unused may just have been cleaned up. From here
        # to the commit none can be.
        hold_shared(LOCK)
        save_missing(files)
        return _write(selectors.get_movie(movie_id, for_update=True), columns)


def _write(movie: Movie, columns: Mapping[str, Any]) -> Movie:
    for column, value in columns.items():
        setattr(movie, column, value)
    # No refresh from TMDb shall bring back what was replaced by hand.
    movie.tmdb_fields = [field for field in movie.tmdb_fields if field not in columns]
    movie.save(update_fields=[*columns, "tmdb_fields", "updated_at"])
    return movie
