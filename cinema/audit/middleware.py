from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from django.http import HttpRequest, HttpResponseBase

from cinema.audit.recording import Author, author, recording
from cinema.logs import current_request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def audit(get_response: GetResponse) -> GetResponse:
    """Put what staff write into the audit log. Reads, and what viewers write, cost nothing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method in SAFE_METHODS:
            return get_response(request)
        with recording(lambda: _author_of(request)):
            return get_response(request)

    return middleware


def _author_of(request: HttpRequest) -> Author | None:
    """The member of staff whom the request's own kind of authentication has found."""
    is_admin = request.path.startswith("/admin/")
    user = getattr(request, "user" if is_admin else "auth", None)
    if user is None or not getattr(user, "is_staff", False):
        return None
    return author(
        user_id=user.pk,
        via="admin" if is_admin else "api",
        # Quoted, as a path may hold what JSON in Postgres may not.
        path=f"{request.method} {quote(request.path)}",
        request_id=current_request_id(),
    )
