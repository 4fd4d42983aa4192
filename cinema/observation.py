"""Middleware that counts each request by route and writes its line in the log."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from cinema.database import statements
from cinema.metrics import counters
from cinema.request_log import (
    HEALTH_PATHS,
    METHODS,
    is_slow,
    name_if_slow,
    viewer_code,
    write_request_line,
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: The server has some 150 routes. More combinations than this count as one route.
MAX_SERIES = 1000
OTHER = "other"
#: The web server finds the route of a request here, in its environment.
ROUTE = "cinema.route"


class _Series:
    """The counters of one method, route and status."""

    def __init__(self, method: str, route: str, status: int) -> None:
        seconds: Any = counters.request_seconds.labels(method, route, str(status))
        self._sum, self._buckets = seconds._sum, seconds._buckets
        self._queries = counters.queries.labels(route)
        self._query_seconds = counters.query_seconds.labels(route)

    def add(self, seconds: float, queries: int, query_seconds: float) -> None:
        # `Histogram.observe` does the same, and compares with one bucket after the other.
        self._sum.inc(seconds)
        self._buckets[bisect_left(counters.BUCKETS_S, seconds)].inc(1)
        if queries:
            self._queries.inc(queries)
            self._query_seconds.inc(query_seconds)


_series: dict[tuple[str | None, str, int], _Series] = {}
_adding = threading.Lock()


def observe(get_response: GetResponse) -> GetResponse:
    """The outermost middleware."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        statements.count, statements.seconds = 0, 0.0
        if name_if_slow not in connection.execute_wrappers:
            # First, because a block of `execute_wrapper` takes the last one off at its end.
            connection.execute_wrappers.insert(0, name_if_slow)
        started_at = perf_counter()
        response = get_response(request)
        seconds = perf_counter() - started_at
        match = request.resolver_match
        route = request.META[ROUTE] = match.route if match else None
        keep(
            request.method,
            request.path,
            route,
            response.status_code,
            seconds,
            viewer=_viewer(request),
            queries=statements.count,
            query_seconds=statements.seconds,
        )
        return response

    return middleware


def keep(
    method: str | None,
    path: str,
    route: str | None,
    status: int,
    seconds: float,
    *,
    viewer: str | None = None,
    queries: int = 0,
    query_seconds: float = 0.0,
) -> None:
    """Count a request that was answered, and write its line.

    With REQUEST_LOG=false slow requests alone have a line.
    """
    shown = route or ("static" if path.startswith(settings.STATIC_URL) else OTHER)
    key = method, shown, status
    (_series.get(key) or _add(*key)).add(seconds, queries, query_seconds)
    if is_slow(seconds) or (settings.REQUEST_LOG and not path.startswith(HEALTH_PATHS)):
        write_request_line(
            method, status, route=route, seconds=seconds, queries=queries, viewer=viewer
        )


def _add(method: str | None, route: str, status: int) -> _Series:
    shown = method if method in METHODS else OTHER
    with _adding:
        if len(_series) >= MAX_SERIES:
            route = OTHER
        series = _Series(str(shown), route, status)
        if len(_series) < MAX_SERIES and shown == method:
            _series[method, route, status] = series
    return series


def _viewer(request: HttpRequest) -> str | None:
    known = vars(request)
    # The user of a session is lazy. Django keeps it here once something has asked for it.
    user = known.get("_cached_user") or known.get("user")
    if user is None or type(user) is SimpleLazyObject or user.pk is None:
        return None
    return viewer_code(user.pk)
