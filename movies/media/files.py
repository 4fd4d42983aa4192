"""Names, addresses and storage of uploaded posters and trailers, on a disk or in a bucket."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage

from cinema.http import absolute_url
from movies.errors import StorageAway
from movies.models import Movie

log = logging.getLogger(__name__)

MB = 1024 * 1024
FOLDERS = ("posters", "trailers")
#: A name is a digest of the content, so the content under a name never changes.
MEDIA_NAME = re.compile(
    r"(?P<stem>posters/[0-9a-f]{32})-[0-9]{1,5}\.(webp|jpg)|trailers/[0-9a-f]{32}\.(mp4|webm)"
)
#: The formats of posters, and the extensions of their files.
POSTER_EXTENSIONS = {"webp": "webp", "jpeg": "jpg"}
CONTENT_TYPES = {
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
#: An upload holds this lock while it writes the row, the clean-up while it deletes files.
MEDIA_LOCK = "movies.media"
#: Begins the names of files that are being written.
UNFINISHED_PREFIX = ".unfinished-"
NO_POSTER: dict[str, Any] = {"poster_upload": "", "poster_widths": []}
NO_TRAILER: dict[str, Any] = {"trailer_upload": ""}


class MediaFile(File[bytes]):
    """A file with its content type, which a bucket stores and serves."""

    def __init__(self, content: IO[bytes], name: str) -> None:
        super().__init__(content, name)
        self.content_type = content_type(name)


def rendition_name(stem: str, width: int, extension: str) -> str:
    return f"{stem}-{width}.{extension}"


def content_type(name: str) -> str:
    return CONTENT_TYPES[name.rpartition(".")[2]]


def row_key(name: str) -> str | None:
    """The value of a movie's column for this file; None if no upload can have the name."""
    match = MEDIA_NAME.fullmatch(name)
    return (match["stem"] or name) if match else None


def save_missing(files: Mapping[str, IO[bytes]]) -> None:
    """Save the files that do not exist yet.

    Raises:
        StorageAway: The storage is unreachable or full.
    """
    try:
        for name, content in files.items():
            if not default_storage.exists(name):
                saved = default_storage.save(name, MediaFile(content, name))
                if saved != name:  # another upload saved the same content first
                    default_storage.delete(saved)
    except Exception as error:
        # Each storage raises its own errors.
        log.exception("an upload could not be saved")
        raise StorageAway from error


def poster_url(movie: Movie, width: int | None = None) -> str | None:
    """The address of the uploaded poster, else the given address, else None.

    Of an uploaded poster, the smallest file that is at least `width` pixels wide, else the widest.
    """
    if not movie.poster_upload:
        return movie.poster
    wide_enough = (found for found in movie.poster_widths if width and found >= width)
    return _rendition_url(movie, next(wide_enough, movie.poster_widths[-1]), "jpg")


def poster_srcset(movie: Movie) -> dict[str, str] | None:
    """The `srcset` of a `<source>` by format; None without an uploaded poster."""
    if not movie.poster_upload:
        return None
    return {
        encoding: ", ".join(
            f"{_rendition_url(movie, width, extension)} {width}w" for width in movie.poster_widths
        )
        for encoding, extension in POSTER_EXTENSIONS.items()
    }


def trailer_url(movie: Movie) -> str | None:
    """The address of the uploaded trailer, else the given address, else None."""
    return media_url(movie.trailer_upload) if movie.trailer_upload else movie.trailer


def media_url(name: str) -> str:
    return absolute_url(default_storage.url(name))


def _rendition_url(movie: Movie, width: int, extension: str) -> str:
    return media_url(rendition_name(movie.poster_upload, width, extension))


def replace_uploads(movie: Movie, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields, and with a new address the columns that remove the upload it replaces.

    The public address of the upload itself is left out: a client that reads a movie and sends it
    back does not want to replace anything.
    """
    changes = dict(fields)
    for field, current, removal in (
        ("poster", poster_url, NO_POSTER),
        ("trailer", trailer_url, NO_TRAILER),
    ):
        if field in fields and getattr(movie, f"{field}_upload"):
            if fields[field] == current(movie):
                del changes[field]
            else:
                changes |= removal
    return changes


class MediaFiles(FileSystemStorage):
    """Writes files atomically, and follows no link out of the folder."""

    def _save(self, name: str, content: File[Any]) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=UNFINISHED_PREFIX, delete=False) as aside:
            try:
                for chunk in content.chunks():
                    aside.write(chunk)
                aside.flush()
                os.fsync(aside.fileno())
                os.chmod(aside.name, settings.FILE_UPLOAD_PERMISSIONS or 0o644)
                os.replace(aside.name, path)
            except BaseException:
                os.unlink(aside.name)
                raise
        return name

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        path = Path(self.path(name)).resolve()
        if not path.is_relative_to(Path(self.location).resolve()):
            raise FileNotFoundError(name)
        return File(path.open(mode))
