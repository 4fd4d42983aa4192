"""What an answer says of itself: who may keep it, and under which address it is found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.vary import vary_on_headers
from ninja.decorators import decorate_view

_revalidated = cache_control(public=True, max_age=0, must_revalidate=True)
public = decorate_view(_revalidated)
#: What Python needs for a kept document and its key, beside the text of both.
OVERHEAD_BYTES = 1024
#: Staff see more: no cache may give their answer to others.
public_by_reader = decorate_view(_revalidated, vary_on_headers("Authorization"))


def _personal_if_signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        is_personal = "Authorization" in request.headers
        return (view if is_personal else _revalidated(view))(request, *args, **kwargs)

    return answer


#: Who has signed in gets what is theirs among the rest, and nobody keeps that.
public_unless_signed_in = decorate_view(_personal_if_signed_in, vary_on_headers("Authorization"))


@dataclass(frozen=True)
class Document:
    """An answer ready to be sent.

    Attributes:
        own_etag: Where it says more than that the body is another one: `cinema.conditions`.
        filename: Under which it is saved, in ASCII.
    """

    body: bytes
    content_type: str = "application/json"
    own_etag: str = ""
    filename: str = ""

    @property
    def size_bytes(self) -> int:
        """How much memory it takes to keep it."""
        return len(self.body) + OVERHEAD_BYTES

    @cached_property
    def etag(self) -> str:
        return self.own_etag or f'"{hashlib.blake2b(self.body, digest_size=16).hexdigest()}"'

    @cached_property
    def _encoded(self) -> dict[str, bytes]:
        return {}

    def encoded(self, encoding: str, encode: Callable[[bytes, str], bytes]) -> bytes:
        """The body in an encoding, which is made once."""
        if encoding not in self._encoded:
            self._encoded[encoding] = encode(self.body, encoding)
        return self._encoded[encoding]


class DocumentResponse(HttpResponse):
    """A document as an answer, which `cinema.compression` compresses once."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.body, content_type=document.content_type)
        self.document = document


def document_response(document: Document, stale: bool) -> HttpResponse:
    """The document as an answer.

    While the database is away the last known bytes are served, marked as stale: by `Warning`
    (RFC 7234, 5.5), which old caches know, and by `Cache-Status` (RFC 9211).
    """
    response = DocumentResponse(document)
    response["ETag"] = document.etag
    response["Cache-Control"] = "public, max-age=0, must-revalidate"
    if document.filename:
        response["Content-Disposition"] = f'inline; filename="{document.filename}"'
    if stale:
        response["Warning"] = '110 cinema "Response is Stale"'
        response["Cache-Status"] = "cinema; hit; detail=stale"
    return response


def absolute_url(path: str) -> str:
    """A path of this server as viewers see it; an address that is complete stays."""
    return path if "://" in path else f"{settings.PUBLIC_URL}{path}"
