"""The files of posters and trailers in the storage, which may be a disk or a bucket far away."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import IO

from django.core.files import File
from django.core.files.storage import default_storage

from movies.media.errors import StorageAway

log = logging.getLogger(__name__)

MB = 1024 * 1024
FOLDERS = ("posters", "trailers")
#: Names are made from the content: under one of them there is never anything else.
NAME = re.compile(
    r"(?P<stem>posters/[0-9a-f]{32})-[0-9]{1,5}\.(webp|jpg)|trailers/[0-9a-f]{32}\.(mp4|webm)"
)
#: In what a poster is kept, and how its files end.
EXTENSIONS = {"webp": "webp", "jpeg": "jpg"}
CONTENT_TYPES = {
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
#: Held by an upload while it makes a row name its files, and by the clean-up while it deletes.
LOCK = "movies.media"


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
    match = NAME.fullmatch(name)
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
