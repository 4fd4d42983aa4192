"""Time and statements of each request, by route."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import Counter, Histogram

from cinema.database import statements
from cinema.metrics import counters
from cinema.request_log import METHODS

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: The server has some 150 routes. More combinations than this count as one route.
MOST_SERIES = 1000
OTHER = "other"


@dataclass(frozen=True)
class _Series:
    """The counters of one method, route and status."""

    seconds: Histogram
    queries: Counter
    query_seconds: Counter


_series: dict[tuple[str | None, str, int], _Series] = {}
_adding = threading.Lock()


def measure(get_response: GetResponse) -> GetResponse:
    """The outermost middleware."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        statements.count, statements.seconds = 0, 0.0
        started_at = perf_counter()
        response = get_response(request)
        match = request.resolver_match
        route = match.route if match else _without_route(request)
        key = request.method, route, response.status_code
        series = _series.get(key) or _add(*key)
        series.seconds.observe(perf_counter() - started_at)
        if statements.count:
            series.queries.inc(statements.count)
            series.query_seconds.inc(statements.seconds)
        return response

    return middleware


def _without_route(request: HttpRequest) -> str:
    """WhiteNoise finds files without a route. All unknown addresses are one."""
    return "static" if request.path.startswith(settings.STATIC_URL) else OTHER


def _add(method: str | None, route: str, status: int) -> _Series:
    shown = method if method in METHODS else OTHER
    with _adding:
        if len(_series) >= MOST_SERIES:
            route = OTHER
        series = _Series(
            counters.request_seconds.labels(shown, route, str(status)),
            counters.queries.labels(route),
            counters.query_seconds.labels(route),
        )
        if len(_series) < MOST_SERIES and shown == method:
            _series[method, route, status] = series
    return series
