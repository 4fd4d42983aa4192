"""What an address that is given by hand does to an upload."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cinema.locks import hold_shared, try_hold_exclusive
from movies import selectors
from movies.errors import FileRefused, FileTooLarge, NoPoster, NoTrailer
from movies.media.files import (
    FOLDERS,
    MB,
    MEDIA_LOCK,
    UNFINISHED_PREFIX,
    poster_url,
    row_key,
    save_missing,
    trailer_url,
)
from movies.media.images import encode_poster
from movies.media.mp4 import check_mp4, is_mp4
from movies.media.webm import check_webm, is_webm
from movies.models import Movie

#: A file that no movie names is deleted after so long.
MEDIA_KEPT_S = 3600


def set_poster(*, movie_id: int, file: IO[bytes]) -> Movie:
    """Make the image the movie's poster, in place of an address or of an earlier one.

    Raises:
        MovieNotFound: There is none.
        FileTooLarge, FileRefused: The file is not an image that can be a poster.
        StorageAway: It could not be saved.
    """
    selectors.get_movie(movie_id)  # before the work that would be for nothing
    _check_size(file, settings.POSTER_MAX_MB)
    poster = encode_poster(file)
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
        hold_shared(MEDIA_LOCK)
        save_missing(files)
        return _write(selectors.get_movie(movie_id, for_update=True), columns)


def _write(movie: Movie, columns: Mapping[str, Any]) -> Movie:
    for column, value in columns.items():
        setattr(movie, column, value)
    # No refresh from TMDb shall bring back what was replaced by hand.
    movie.tmdb_fields = [field for field in movie.tmdb_fields if field not in columns]
    movie.save(update_fields=[*columns, "tmdb_fields", "updated_at"])
    return movie


NO_POSTER = {"poster_upload": "", "poster_widths": []}
NO_TRAILER = {"trailer_upload": ""}


def replace_uploads(movie: Movie, fields: Mapping[str, Any]) -> dict[str, Any]:
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


HEAD_BYTES = 32
BLOCK_BYTES = 1024 * 1024


def trailer_name(file: IO[bytes]) -> str:
    """The name under which the video is kept: by its content, and what its bytes say it is.

    Raises:
        FileRefused: It is no MP4 or WebM, or not a whole one.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    size = file.seek(0, 2)
    if is_mp4(head):
        check_mp4(file, size)
        extension = "mp4"
    elif is_webm(head):
        check_webm(file, size)
        extension = "webm"
    else:
        raise FileRefused("Send a video: MP4 or WebM.")
    return f"trailers/{_digest(file)}.{extension}"


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


#: Uploads wait for one batch at the most.
DELETED_AT_ONCE = 100


def clean_media(*, now: datetime | None = None) -> int:
    """Delete the files that no row names and that are older than `MEDIA_KEPT_S`.

    Younger ones may belong to an upload that is going on, or stand in a page that a viewer has
    still open. A file that is not named as ours are is never touched.

    Returns:
        How many were deleted.
    """
    before = (now or timezone.now()) - timedelta(seconds=MEDIA_KEPT_S)
    orphans = _orphans(before)
    deleted = 0
    while batch := list(islice(orphans, DELETED_AT_ONCE)):
        deleted += _delete(batch)
    return deleted


def _orphans(before: datetime) -> Iterator[str]:
    named = _named(Q())
    for folder in FOLDERS:
        try:
            _, names = default_storage.listdir(folder)
        except FileNotFoundError:  # nothing was uploaded yet
            continue
        for name in (f"{folder}/{name}" for name in names):
            if _is_ours(name) and row_key(name) not in named and _is_older(name, before):
                yield name


def _is_ours(name: str) -> bool:
    return row_key(name) is not None or name.partition("/")[2].startswith(UNFINISHED_PREFIX)


def _is_older(name: str, than: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < than
    except FileNotFoundError:  # it was being written, and has its name by now
        return False


def _named(which: Q) -> set[str]:
    """What the rows name, withdrawn movies' too: the viewers' histories still show them."""
    movies = Movie.objects.filter(which).values_list("poster_upload", "trailer_upload")
    return {key for keys in movies.iterator() for key in keys if key}


def _delete(names: Sequence[str]) -> int:
    """Delete those that still no row names; none while an upload is about to name some."""
    with transaction.atomic():
        if not try_hold_exclusive(MEDIA_LOCK):
            return 0
        keys = [row_key(name) for name in names]
        named = _named(Q(poster_upload__in=keys) | Q(trailer_upload__in=keys))
        orphans = [name for name in names if row_key(name) not in named]
        for name in orphans:
            default_storage.delete(name)
    return len(orphans)
