"""Posters and trailers from the storage of this server, whole or in part (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from cinema.errors import problem
from movies.media.files import content_type, row_key

BLOCK_BYTES = 64 * 1024
#: Under WSGI (`runserver`) a longer response holds a thread until the client has taken it. In the
#: web process granian sends it: `cinema.web.bridge`.
BUFFERED_BYTES = 32 * BLOCK_BYTES
#: What a player gets at once. It asks for more as it plays; if it had all of it in one answer, a
#: viewer who pauses would hold a thread for as long.
PLAYERS_BYTES = BUFFERED_BYTES // 2
PLAYERS = {"audio", "video"}
ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
HEADERS = {
    # The name is made from the content.
    "Cache-Control": "public, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    # Whatever else the bytes of a video might mean, no browser shall find out.
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; "
    "style-src 'unsafe-inline'; sandbox",
}

#: Slow downloads shall not take all threads.
_threads_to_hold = BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


class TooManyDownloads(Exception):
    """As many threads as may be are waiting for slow clients."""


class Blocks:
    """So many bytes of a file from where it stands. Who answers with them closes them."""

    def __init__(self, file: File[Any], size: int) -> None:
        self.file = file
        self.size = self._left = size
        self._holds_thread = size > BUFFERED_BYTES
        if self._holds_thread and not _threads_to_hold.acquire(blocking=False):
            raise TooManyDownloads

    def __iter__(self) -> Iterator[bytes]:
        while block := self.file.read(min(BLOCK_BYTES, self._left)):
            self._left -= len(block)
            yield block

    def close(self) -> None:
        self.file.close()
        if self._holds_thread:
            self._holds_thread = False
            _threads_to_hold.release()


class FilePartResponse(StreamingHttpResponse):
    """A part of a file.

    Attributes:
        file_part: The file where the part begins, and its size in bytes: `cinema.web.bridge` sends
            it without a thread.
    """

    def __init__(self, blocks: Blocks, **options: Any) -> None:
        super().__init__(blocks, **options)
        self.file_part = (blocks.file, blocks.size)


@require_safe
def serve_media(request: HttpRequest, name: str) -> HttpResponseBase:
    """The file of this name, or the part of it that is asked for."""
    if row_key(name) is None or not default_storage.exists(name):
        return _nothing()
    etag = f'"{name}"'
    headers = {**HEADERS, "Content-Type": content_type(name), "ETag": etag}
    whole = HttpResponse(headers=headers)
    answer = get_conditional_response(request, etag=etag, response=whole) or whole
    if answer is not whole:
        return answer  # 304 or 412
    try:
        file = default_storage.open(name)
    except FileNotFoundError:
        return _nothing()
    size = file.seek(0, 2)
    if request.method == "HEAD":
        file.close()
        whole["Content-Length"] = size
        return whole
    return _part(file, size, headers, _range(request, etag, size))


def _nothing() -> HttpResponse:
    return problem(404, "There is nothing at this address.")


def _range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """The first and the last byte asked for; None for the whole.

    Several ranges, another unit and nonsense are answered with the whole, as anyone may
    (RFC 9110, 14.2). With `If-Range` a part is wanted of the file of that tag alone.
    """
    match = ONE_RANGE.fullmatch(request.headers.get("Range", "").strip())
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if last else None
    if last and int(last) < int(first):
        return None
    start, end = int(first), min(int(last or size), size - 1)
    if request.headers.get("Sec-Fetch-Dest") in PLAYERS:
        end = min(end, start + PLAYERS_BYTES - 1)
    return start, end


def _part(
    file: File[Any], size: int, headers: dict[str, str], wanted: tuple[int, int] | None
) -> HttpResponseBase:
    first, last = wanted or (0, size - 1)
    if wanted and first >= size:
        file.close()
        bounds = {"Content-Range": f"bytes */{size}"}
        return problem(416, f"The file has {size} bytes.", headers=bounds)
    length = last - first + 1
    headers["Content-Length"] = str(length)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    file.seek(first)
    try:
        blocks = Blocks(file, length)
    except TooManyDownloads:
        file.close()
        return problem(503, "Too many downloads. Try again.", headers={"Retry-After": "10"})
    return FilePartResponse(blocks, status=206 if wanted else 200, headers=headers)
