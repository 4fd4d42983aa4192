"""Posters and trailers: upload, replacement, and the clean-up of unused files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    NO_POSTER,
    NO_TRAILER,
    UNFINISHED_PREFIX,
    poster_url,
    row_key,
    save_missing,
    trailer_url,
)
from movies.media.images import encode_poster
from movies.models import Movie

#: A file that no movie names is deleted after so long.
MEDIA_KEPT_S = 3600
#: The file type of a video is in its first bytes.
HEAD_BYTES = 256
MP4_BRANDS = {
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9",
    b"mp41", b"mp42", b"avc1", b"M4V ", b"dash", b"MSNV",
}  # fmt: skip
#: QuickTime, audio and pictures may name an MP4 brand as compatible.
NOT_MP4_VIDEO = {b"qt  ", b"M4A ", b"M4B ", b"avif", b"avis", b"heic", b"mif1"}
EBML, WEBM_DOCTYPE = b"\x1a\x45\xdf\xa3", b"webm"
#: Uploads wait for one batch at most.
DELETED_AT_ONCE = 100


@dataclass(frozen=True)
class StoredFiles:
    """The files of an upload, and the columns of a movie that name them."""

    files: Mapping[str, IO[bytes]]
    columns: Mapping[str, Any]


def set_poster(*, movie_id: int, file: IO[bytes]) -> Movie:
    """Store the image as the movie's poster. It replaces an address or an earlier upload.

    Raises:
        MovieNotFound: No published movie has this id.
        FileTooLarge, FileRefused: The file cannot be a poster.
        StorageAway: The storage did not take the files.
    """
    selectors.get_movie(movie_id)  # fail before the expensive work
    return attach(movie_id=movie_id, stored=store_poster(file))


def set_trailer(*, movie_id: int, file: IO[bytes]) -> Movie:
    """Store the video as the movie's trailer. It replaces an address or an earlier upload.

    Raises:
        MovieNotFound: No published movie has this id.
        FileTooLarge, FileRefused: The file is too large, or neither MP4 nor WebM.
        StorageAway: The storage did not take the file.
    """
    selectors.get_movie(movie_id)
    return attach(movie_id=movie_id, stored=store_trailer(file))


def store_poster(file: IO[bytes]) -> StoredFiles:
    """Store the image in each width and format.

    Raises:
        FileTooLarge, FileRefused, StorageAway: As in `set_poster`.
    """
    _check_size(file, settings.POSTER_MAX_MB)
    poster = encode_poster(file)
    files = {name: io.BytesIO(content) for name, content in poster.files.items()}
    save_missing(files)
    columns = {"poster": None, "poster_upload": poster.stem, "poster_widths": poster.widths}
    return StoredFiles(files, columns)


def store_trailer(file: IO[bytes]) -> StoredFiles:
    """Store the video.

    Raises:
        FileTooLarge, FileRefused, StorageAway: As in `set_trailer`.
    """
    _check_size(file, settings.TRAILER_MAX_MB)
    extension = video_extension(file.read(HEAD_BYTES))
    if extension is None:
        raise FileRefused("Send a video: MP4 or WebM.")
    file.seek(0)
    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))  # type: ignore[arg-type]
    name = f"trailers/{digest.hexdigest()}.{extension}"
    files = {name: file}
    save_missing(files)
    return StoredFiles(files, {"trailer": None, "trailer_upload": name})


@transaction.atomic
def attach(*, movie_id: int, stored: StoredFiles) -> Movie:
    """Name the stored files in the movie's row. The clean-up deletes the replaced ones.

    Raises:
        MovieNotFound: No published movie has this id.
        StorageAway: A file is gone again, and the storage did not take it.
    """
    # The clean-up may just have deleted an unused file with the same content. While this
    # transaction holds the lock, it deletes nothing.
    hold_shared(MEDIA_LOCK)
    save_missing(stored.files)
    return _write(selectors.get_movie(movie_id, for_update=True), stored.columns)


@transaction.atomic
def remove_poster(*, movie_id: int) -> None:
    """Raises: MovieNotFound, NoPoster."""
    movie = selectors.get_movie(movie_id, for_update=True)
    if poster_url(movie) is None:
        raise NoPoster(movie_id)
    _write(movie, {"poster": None, **NO_POSTER})


@transaction.atomic
def remove_trailer(*, movie_id: int) -> None:
    """Raises: MovieNotFound, NoTrailer."""
    movie = selectors.get_movie(movie_id, for_update=True)
    if trailer_url(movie) is None:
        raise NoTrailer(movie_id)
    _write(movie, {"trailer": None, **NO_TRAILER})


def video_extension(head: bytes) -> str | None:
    """The extension for a video that begins with these bytes: `mp4`, `webm` or None.

    Written here because `puremagic` 1.30 refuses half of the MP4 brands and takes Matroska for
    WebM, and `filetype` has had no release since 2022.
    """
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        major, compatible = head[8:12], {head[at : at + 4] for at in range(16, end, 4)}
        is_video = major not in NOT_MP4_VIDEO and MP4_BRANDS & {major, *compatible}
        return "mp4" if is_video else None
    is_webm = head.startswith(EBML) and WEBM_DOCTYPE in head[:64]
    return "webm" if is_webm else None


def _check_size(file: IO[bytes], limit_mb: int) -> None:
    """Check the size again: the admin site does not use the API's upload handler."""
    if file.seek(0, 2) > limit_mb * MB:
        raise FileTooLarge(limit_mb)
    file.seek(0)


def _write(movie: Movie, columns: Mapping[str, Any]) -> Movie:
    for column, value in columns.items():
        setattr(movie, column, value)
    # A refresh from TMDb must not restore what staff replaced.
    movie.tmdb_fields = [field for field in movie.tmdb_fields if field not in columns]
    movie.save(update_fields=[*columns, "tmdb_fields", "updated_at"])
    return movie


def clean_media(*, now: datetime | None = None) -> int:
    """Delete files older than `MEDIA_KEPT_S` that no row names; returns how many.

    Younger files may belong to a running upload, or to a page that a viewer has open. Files with
    names of another form are never deleted.
    """
    before = (now or timezone.now()) - timedelta(seconds=MEDIA_KEPT_S)
    orphans = _orphans(before)
    deleted = 0
    while batch := list(islice(orphans, DELETED_AT_ONCE)):
        deleted += _delete(batch)
    return deleted


def _orphans(before: datetime) -> Iterator[str]:
    named = _row_keys(Q())
    for folder in FOLDERS:
        try:
            _, names = default_storage.listdir(folder)
        except FileNotFoundError:  # nothing was uploaded yet
            continue
        for name in names:
            key = row_key(path := f"{folder}/{name}")
            is_ours = key is not None or name.startswith(UNFINISHED_PREFIX)
            if is_ours and key not in named and _is_older(path, before):
                yield path


def _is_older(name: str, than: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < than
    except FileNotFoundError:  # an unfinished upload that has its final name now
        return False


def _row_keys(condition: Q) -> set[str]:
    """The uploads that movies name. Withdrawn movies count: viewers' histories show them."""
    movies = Movie.objects.filter(condition).values_list("poster_upload", "trailer_upload")
    return {key for keys in movies.iterator() for key in keys if key}


@transaction.atomic
def _delete(names: Sequence[str]) -> int:
    """Delete the files that are still unused, unless an upload holds the lock."""
    if not try_hold_exclusive(MEDIA_LOCK):
        return 0
    keys = [row_key(name) for name in names]
    named = _row_keys(Q(poster_upload__in=keys) | Q(trailer_upload__in=keys))
    orphans = [name for name in names if row_key(name) not in named]
    for name in orphans:
        default_storage.delete(name)
    return len(orphans)
