"""The files of posters and trailers in the storage, which may be a disk or a bucket far away."""

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
#: Names are made from the content: under one of them there is never anything else.
MEDIA_NAME = re.compile(
    r"(?P<stem>posters/[0-9a-f]{32})-[0-9]{1,5}\.(webp|jpg)|trailers/[0-9a-f]{32}\.(mp4|webm)"
)
#: In what a poster is kept, and how its files end.
POSTER_EXTENSIONS = {"webp": "webp", "jpeg": "jpg"}
CONTENT_TYPES = {
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
#: Held by an upload while it makes a row name its files, and by the clean-up while it deletes.
MEDIA_LOCK = "movies.media"


class MediaFile(File[bytes]):
    """A file that tells the storage its type: a bucket serves it under that."""

    def __init__(self, content: IO[bytes], name: str) -> None:
        super().__init__(content, name)
        self.content_type = content_type(name)


def rendition_name(stem: str, width: int, extension: str) -> str:
    return f"{stem}-{width}.{extension}"


def content_type(name: str) -> str:
    return CONTENT_TYPES[name.rpartition(".")[2]]


def row_key(name: str) -> str | None:
    """What a movie's column holds for the file of this name; None if the name is not of ours."""
    match = MEDIA_NAME.fullmatch(name)
    return (match["stem"] or name) if match else None


def save_missing(files: Mapping[str, IO[bytes]]) -> None:
    """Save those that are not there yet.

    Raises:
        StorageAway: The storage is not reached, or full.
    """
    try:
        for name, content in files.items():
            if not default_storage.exists(name):
                saved = default_storage.save(name, MediaFile(content, name))
                if saved != name:  # someone else was faster with the same content
                    default_storage.delete(saved)
    except Exception as error:
        # Each storage has errors of its own.
        log.exception("an upload could not be saved")
        raise StorageAway from error


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
        for encoding, extension in POSTER_EXTENSIONS.items()
    }


def trailer_url(movie: Movie) -> str | None:
    """The trailer that was uploaded, else the address that was given, else None."""
    return media_url(movie.trailer_upload) if movie.trailer_upload else movie.trailer


def media_url(name: str) -> str:
    return absolute_url(default_storage.url(name))


def _rendition_url(movie: Movie, width: int, extension: str) -> str:
    return media_url(rendition_name(movie.poster_upload, width, extension))


#: How the name of a file begins while it is being written.
UNFINISHED_PREFIX = ".unfinished-"


class MediaFiles(FileSystemStorage):
    """Django's, but a file appears whole or not at all, and links lead nowhere outside."""

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
