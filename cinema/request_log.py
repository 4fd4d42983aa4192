"""A line for each request, and for each statement that is slow."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac
from django.utils.functional import SimpleLazyObject

from cinema.database import statements
from cinema.logs import IS_JSON, current_request_id, json_line, shortened

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: A slower request, and a slower statement, is a warning.
SLOW_REQUEST_S = 1.0
SLOW_STATEMENT_S = 0.5
#: Programs ask these every few seconds.
HEALTH_PATHS = ("/health", "/api/v1/health")
#: Any other method is one that a client has invented.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STANDARD_ERROR = 2


def log_requests(get_response: GetResponse) -> GetResponse:
    """Write a line for each request, or with REQUEST_LOG=false for slow ones alone."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        started_at = time.perf_counter()
        response = get_response(request)
        seconds = time.perf_counter() - started_at
        if seconds >= SLOW_REQUEST_S or (
            settings.REQUEST_LOG and not request.path.startswith(HEALTH_PATHS)
        ):
            match = request.resolver_match
            write_request_line(
                request.method,
                response.status_code,
                route=match.route if match else None,
                seconds=seconds,
                queries=statements.count,
                viewer=_viewer(request),
            )
        return response

    return middleware


def write_request_line(
    method: str | None,
    status: int,
    *,
    route: str | None = None,
    seconds: float | None = None,
    queries: int = 0,
    viewer: str | None = None,
) -> None:
    """Write the line of a request.

    Not by a logger: its search for the calling line, its record and its handlers take more CPU than
    the line itself.
    """
    is_slow = seconds is not None and seconds >= SLOW_REQUEST_S
    level, message = ("WARNING", "slow request") if is_slow else ("INFO", "request")
    fields: dict[str, object] = {
        "method": method if method in METHODS else "other",
        "route": route,
        "status": status,
        "ms": None if seconds is None else round(seconds * 1000, 1),
        "queries": queries,
        "viewer": viewer,
    }
    if IS_JSON:
        line = json_line(time.time(), level, "cinema.requests", message, fields)
    else:
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        clock = time.strftime("%Y-%m-%d %H:%M:%S")
        line = (
            f"{clock} {level} cinema.requests [{current_request_id()}] {message} {shown}".encode()
        )
    # A full disk, or a reader that has gone, fails no request.
    with suppress(OSError):
        os.write(STANDARD_ERROR, line + b"\n")


def _viewer(request: HttpRequest) -> str | None:
    known = vars(request)
    # The user of a session is lazy. Django keeps it here once something has asked for it.
    user = known.get("_cached_user") or known.get("user")
    if user is None or type(user) is SimpleLazyObject or user.pk is None:
        return None
    return viewer_code(user.pk)


@lru_cache(maxsize=4096)
def viewer_code(user_id: int) -> str:
    """The code of a viewer in the log. Without SECRET_KEY nobody can compute it from the id."""
    return salted_hmac("cinema.request_log", str(user_id), algorithm="sha256").hexdigest()[:16]


def watch_statements(connection: Any, **kwargs: object) -> None:
    """Name the slow statements of a connection. Django tells of each connection that it takes."""
    if _name_if_slow not in connection.execute_wrappers:
        connection.execute_wrappers.append(_name_if_slow)


def _name_if_slow(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
) -> Any:
    started_at = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        seconds = time.perf_counter() - started_at
        if seconds >= SLOW_STATEMENT_S:
            text = shortened(" ".join(str(sql).split()), 500)  # without its values
            log.warning("slow statement, %.0f ms: %s", seconds * 1000, text)
