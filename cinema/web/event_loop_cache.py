"""Public documents that Django has just sent, which the event loop sends again.

Django looks at the version of the catalogue every half second. Until the next look it would answer
the same request with the same bytes, so no thread is needed for that: it costs less than a bare
view. Each answer is counted, limited and logged as one of Django.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

from cinema.logs import request_id_variable
from cinema.middleware import request_id_of
from cinema.observation import keep
from cinema.response_cache import responses
from cinema.throttling.limits import address_of, count_alone
from cinema.tracing import is_tracing
from cinema.web.bridge import ServerResponse, send

#: Headers by which an answer becomes personal or a part, or that announce a body.
EXCLUDED = frozenset({
    "authorization", "content-length", "cookie", "if-match", "if-modified-since", "if-range",
    "if-unmodified-since", "range", "transfer-encoding",
})  # fmt: skip
#: All other headers that an answer depends on.
VARYING = ("accept-encoding", "host", "if-none-match", "origin", "x-forwarded-proto")
MAX_KEPT = 256

Key = tuple[object, ...]


class EventLoopCache:
    """The answers of one process. Only the event loop uses it."""

    def __init__(self) -> None:
        self._kept: dict[Key, ServerResponse] = {}

    def send(self, scope: Any, protocol: Any) -> Key | None:
        """Send an answer again.

        Returns:
            None if it was sent; else the key to `keep` Django's answer under, empty if it must not
            be kept.
        """
        if scope.method != "GET" or is_tracing():  # each request has a span
            return ()
        started_at = perf_counter()
        items = scope.headers.items()
        given = dict(items)
        # Django joins a header that is given twice.
        if len(given) < len(items) or not EXCLUDED.isdisjoint(given):
            return ()
        path = scope.path
        key = (scope.scheme, path, scope.query_string, *map(given.get, VARYING))
        answer = self._kept.get(key)
        if not answer or not answer.repeatable or not answer.repeatable.is_current():
            return key
        peer = scope.client.rpartition(":")[0].strip("[]")
        if not count_alone(path, address_of(peer, given.get("x-forwarded-for", ""))):
            return key
        identifier = request_id_of(given.get("x-request-id", ""))
        request_id_variable.set(identifier)
        headers = [*answer.headers, ("X-Request-ID", identifier)]
        send(replace(answer, headers=headers), protocol)
        responses.count_again(answer.repeatable.kind)
        keep("GET", path, answer.route, answer.status, perf_counter() - started_at)
        return None

    def keep(self, key: Key, answer: ServerResponse) -> None:
        """Keep Django's answer, if it can be sent again, for the next request with this key."""
        if key and answer.repeatable:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            headers = [each for each in answer.headers if each[0] != "X-Request-ID"]
            self._kept[key] = replace(answer, headers=headers)
