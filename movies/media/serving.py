"""Serve posters and trailers from this server's storage, whole or in part (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from cinema.errors import problem
from movies.media.files import content_type, row_key

BLOCK_BYTES = 64 * 1024
ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
HEADERS = {
    # The name is a digest of the content.
    "Cache-Control": "public, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    # A file can be a video and a web page at once; browsers must not guess.
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; "
    "style-src 'unsafe-inline'; sandbox",
}


class FilePartResponse(StreamingHttpResponse):
    """A part of a file, from its present position on.

    Attributes:
        file_part: The file and the number of bytes. In the web process `cinema.web.bridge` hands
            both to granian, which needs no thread of ours to send them.
    """

    def __init__(self, file: IO[bytes], size: int, **options: Any) -> None:
        super().__init__(_blocks(file, size), **options)
        self.file_part = (file, size)

    def close(self) -> None:
        super().close()
        self.file_part[0].close()


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while block := file.read(min(BLOCK_BYTES, size)):
        size -= len(block)
        yield block


@require_safe
def serve_media(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve the file of this name, or the range that the request asks for."""
    if row_key(name) is None or not default_storage.exists(name):
        return _not_found()
    etag = f'"{name}"'
    headers = {**HEADERS, "Content-Type": content_type(name), "ETag": etag}
    whole = HttpResponse(headers=headers)
    answer = get_conditional_response(request, etag=etag, response=whole) or whole
    if answer is not whole:
        return answer  # 304 or 412
    try:
        file = default_storage.open(name)
    except FileNotFoundError:
        return _not_found()
    size = file.seek(0, 2)
    if request.method == "HEAD":
        file.close()
        whole["Content-Length"] = size
        return whole
    wanted = _range(request, etag, size)
    first, last = wanted or (0, size - 1)
    if wanted and first >= size:
        file.close()
        bounds = {"Content-Range": f"bytes */{size}"}
        return problem(416, f"The file has {size} bytes.", headers=bounds)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    file.seek(first)
    return FilePartResponse(file, last - first + 1, status=206 if wanted else 200, headers=headers)


def _not_found() -> HttpResponse:
    return problem(404, "There is nothing at this address.")


def _range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """The first and the last requested byte; None for the whole file.

    Several ranges, other units and malformed ranges get the whole file, as RFC 9110 (14.2)
    allows. `If-Range` asks for a part only if the file still has that ETag.
    """
    match = ONE_RANGE.fullmatch(request.headers.get("Range", "").strip())
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last or size), size - 1)
