"""The counters of the web processes. All labels are names of the code, so their number is bounded.

A count costs about a microsecond, and a search for the labels as much again: hot paths keep what
`labels` returns.
"""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram

#: Read only in a process that keeps no files, such as `runserver`.
registry = CollectorRegistry()

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

request_seconds = Histogram(
    "cinema_request_seconds",
    "Time of requests in Django, by route and status.",
    ("method", "route", "status"),
    registry=registry,
    buckets=BUCKETS_S,
)
queries = Counter(
    "cinema_queries",
    "Statements sent to Postgres by requests, BEGIN and COMMIT among them.",
    ("route",),
    registry=registry,
)
query_seconds = Counter(
    "cinema_query_seconds",
    "Time for which requests waited for Postgres to answer their statements.",
    ("route",),
    registry=registry,
)
refused_requests = Counter(
    "cinema_refused_requests",
    "Requests that were refused before Django: no thread was free, or the body was not acceptable.",
    ("reason",),
    registry=registry,
)
cache_requests = Counter(
    "cinema_cache_requests",
    "Responses and lists by cache and origin.",
    ("cache", "outcome"),
    registry=registry,
)
list_items = Counter(
    "cinema_list_items",
    "Films of lists that were shown to viewers, by source.",
    ("source", "fallback"),
    registry=registry,
)
throttled_requests = Counter(
    "cinema_throttled_requests",
    "Requests that were refused by a rate limit.",
    ("limit",),
    registry=registry,
)
sign_in_failures = Counter(
    "cinema_sign_in_failures",
    "Wrong passwords and second factors, of sign-ins and of signed-in viewers who confirm.",
    ("kind",),
    registry=registry,
)

# Known before the first event, which `increase` of Prometheus would otherwise not see.
for _reason in ("busy", "body"):
    refused_requests.labels(_reason)
for _limit in ("address", "account", "wrong_passwords"):
    throttled_requests.labels(_limit)
for _kind in ("sign-in", "confirmation"):
    sign_in_failures.labels(_kind)


@lru_cache
def _cache_requests(cache: str, outcome: str) -> Counter:
    return cache_requests.labels(cache, outcome)


def count_cache_request(cache: str, outcome: str) -> None:
    _cache_requests(cache, outcome).inc()
