"""Compressed responses (br, gzip), each with an ETag of its own.

BREACH recovers a secret from the sizes of compressed responses that contain it next to text of the
attacker's choice. The attacker must make the victim's browser send requests with the victim's
credentials. A browser attaches only cookies by itself, and only the admin has cookies. So responses
that a cookie could make personal are not compressed: none to a request with a cookie, none that
sets one, and none below `/admin/`. The client's own code attaches a bearer token.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import brotli
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from cinema.http import vary_on

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: A smaller body fits into one packet as it is.
MIN_BYTES = 500
BROTLI_QUALITY = 4
GZIP_LEVEL = 6
#: The number of compressed static files that a process keeps.
FILES_KEPT = 256

_compressible = re.compile(
    r"(text/|application/([\w.]+\+)?(json|xml)\b|application/(javascript|x-ndjson|manifest)"
    r"|image/svg\+xml)"
)
_files: dict[tuple[str, str, str], bytes] = {}


def compress(request: HttpRequest, get_response: GetResponse) -> HttpResponseBase:
    """Compress a response that becomes smaller, in an encoding that the client accepts."""
    encoding = _accepted(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    is_known = bool(encoding) and _without_suffix(request, encoding)
    response = get_response(request)
    if not _is_safe(request, response):
        return response
    if response.status_code == 304:
        vary_on(response, "Accept-Encoding")
        if is_known:
            _add_suffix(response, encoding)
        return response
    if not _is_worthwhile(response):
        return response
    vary_on(response, "Accept-Encoding")
    return _compressed(request, response, encoding) if encoding else response


@lru_cache(maxsize=256)
def _accepted(header: str) -> str:
    """The best encoding that an `Accept-Encoding` allows. Empty: none (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameter = part.partition(";")
        _, _, weight = parameter.partition("q=")
        try:
            weights[name.strip()] = float(weight or 1)
        except ValueError:
            continue
    other = weights.get("*", 0.0)
    best = max(("br", "gzip"), key=lambda name: weights.get(name, other))
    return best if weights.get(best, other) > 0 else ""


def _is_safe(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether BREACH does not apply: see the docstring of this module."""
    if request.path.startswith(settings.STATIC_URL):
        return True
    return not (
        request.META.get("HTTP_COOKIE") or response.cookies or request.path.startswith("/admin")
    )


def _is_worthwhile(response: HttpResponseBase) -> bool:
    headers = response.headers
    return (
        response.status_code not in (204, 206)
        and "Content-Encoding" not in headers
        and "no-transform" not in headers.get("Cache-Control", "")
        and not hasattr(response, "file_part")  # the server sends the file itself
        and bool(_compressible.match(headers.get("Content-Type", "")))
        and (response.streaming or len(_content(response)) >= MIN_BYTES)
    )


def _content(response: Any) -> bytes:
    content: bytes = response.content
    return content


def _compressed(request: HttpRequest, response: Any, encoding: str) -> HttpResponseBase:
    if response.streaming and request.path.startswith(settings.STATIC_URL):
        response = _file(request.path, response, encoding)
    elif response.streaming:
        response.streaming_content = _blocks(response.streaming_content, encoding)
        del response["Content-Length"]
    else:
        document = getattr(response, "document", None)
        response.content = (
            document.encoded(encoding, compressed)
            if document
            else compressed(response.content, encoding)
        )
    response["Content-Encoding"] = encoding
    _add_suffix(response, encoding)
    return response  # type: ignore[no-any-return]


def compressed(body: bytes, encoding: str) -> bytes:
    if encoding == "br":
        packed: bytes = brotli.compress(body, quality=BROTLI_QUALITY)
        return packed
    return gzip.compress(body, GZIP_LEVEL, mtime=0)


def _blocks(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    compressor: Any
    if encoding == "br":
        compressor = brotli.Compressor(quality=BROTLI_QUALITY)
        process, finish = compressor.process, compressor.finish
    else:
        compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        process, finish = compressor.compress, compressor.flush
    for block in blocks:
        if packed := process(block):
            yield packed
    yield finish()


def _file(path: str, response: Any, encoding: str) -> HttpResponse:
    """A static file, which is compressed once for each version."""
    key = (path, response.get("ETag", ""), encoding)
    if (body := _files.get(key)) is None:
        if len(_files) >= FILES_KEPT:
            _files.clear()
        body = _files[key] = compressed(b"".join(response.streaming_content), encoding)
    response.close()
    return HttpResponse(body, status=response.status_code, headers=response.headers)


# --- ETags: a document has a different one in each encoding


def _add_suffix(response: HttpResponseBase, encoding: str) -> None:
    etag = response.headers.get("ETag", "")
    if etag.endswith('"'):
        response.headers["ETag"] = f'{etag[:-1]}-{encoding}"'


def _without_suffix(request: HttpRequest, encoding: str) -> bool:
    """Remove the suffix of the encoding from the client's ETags; whether one had it."""
    tags = request.META.get("HTTP_IF_NONE_MATCH", "")
    known = tags.replace(f'-{encoding}"', '"')
    if known == tags:
        return False
    request.META["HTTP_IF_NONE_MATCH"] = known
    request.__dict__.pop("headers", None)  # computed from META on first use
    return True
