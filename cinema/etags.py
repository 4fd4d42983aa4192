"""ETags of editable rows, and conditional writes by `If-Match`.

An ETag has two parts: the time of the row's last edit, and a hash of the body. `If-None-Match`
compares both. `If-Match` compares the first part only: a ranking that the clock has raised
meanwhile is no edit that could get lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Header
from ninja.decorators import decorate_view

from cinema.errors import PreconditionFailed

#: The parameter of an operation that writes.
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="An ETag: 412 if somebody has edited it since."),
]

_etag = re.compile(r'(?:W/)?"([^"]*)"')


def edit_mark(updated_at: datetime) -> str:
    """Return the first part of the ETag."""
    return format(int(updated_at.timestamp() * 1_000_000), "x")


def edit_etag(updated_at: datetime, body: bytes) -> str:
    """Return the ETag of a body that shows a row after this edit."""
    return _etag_of(edit_mark(updated_at), body)


def with_body(etag: str, body: bytes) -> str:
    """Return the ETag of the same edit for another body."""
    return _etag_of(etag.strip('"').partition("-")[0], body)


def _etag_of(mark: str, body: bytes) -> str:
    return f'"{mark}-{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def check_if_match(if_match: str | None, updated_at: datetime) -> None:
    """Compare a request's `If-Match` with the row, which must be locked until it is written.

    Weak ETags are accepted, as compressing proxies make ETags weak.

    Raises:
        PreconditionFailed: The row was edited after the caller had read it.
    """
    if if_match is None or if_match.strip() == "*":
        return
    marks = [tag.partition("-")[0] for tag in _etag.findall(if_match)]
    if edit_mark(updated_at) not in marks:
        raise PreconditionFailed


def show_edit(response: HttpResponse, updated_at: datetime) -> None:
    """Put the edit into the response; `editable` completes the ETag."""
    response["ETag"] = edit_mark(updated_at)


def _complete_etag(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if mark := response.get("ETag"):
            response["ETag"] = _etag_of(mark, response.content)
        return response

    return answer


#: Decorator of an operation that returns one row and calls `show_edit`.
editable = decorate_view(_complete_etag)
