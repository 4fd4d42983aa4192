"""An uploaded trailer: kept as it is, once its bytes have shown that it is a whole video."""

from __future__ import annotations

import hashlib
from typing import IO

from movies.media.errors import FileRefused
from movies.media.mp4 import check_mp4, is_mp4
from movies.media.webm import check_webm, is_webm

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
