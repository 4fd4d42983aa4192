"""Each public endpoint of the catalogue, timed: made anew, and kept; and its number of queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cinema.response_cache import responses
from movies import catalogue
from movies.models import Movie, Screening

API = "/api/v1"
GRAPHQL = """{ programme(days: 7) { days { date movies {
  movie { name runtimeMinutes genres { name } } screenings { hall startsAt state } } } } }"""
GRAPHQL_MOVIES = """{ movies(first: 20) { edges { node {
  name genres { name } screenings(first: 3) { edges { node { startsAt hall } } } } } } }"""


def measure_endpoints(*, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each round with nothing kept and with all kept, and the queries of both."""
    now = timezone.now()
    shown = Screening.objects.filter(starts_at__gt=now).order_by("starts_at").first()
    assert shown
    movie = Movie.objects.get(pk=shown.movie_id)
    asked: dict[str, dict[str, Any]] = {
        f"{API}/programme": {},
        f"{API}/programme ": {"genre": "drama"},
        f"{API}/programme.ics": {},
        f"{API}/programme.ics ": {"days": 28},
        f"{API}/programme.jsonld": {},
        f"{API}/movies/feed.atom": {},
        f"{API}/movies/{movie.pk}/programme.ics": {},
        f"{API}/movies/{movie.pk}/programme.jsonld": {},
        f"{API}/movies": {},
        f"{API}/movies ": {"q": "the man"},
        f"{API}/movies/trending": {},
        f"{API}/movies/popular": {},
        f"{API}/movies/{movie.pk}": {},
        f"{API}/movies/by-slug/{movie.slug}": {},
        f"{API}/movies/{movie.pk}/similar": {},
        f"{API}/genres": {},
        f"{API}/screenings": {"from": now.isoformat()},
        f"{API}/screenings/{shown.pk}": {},
        "/": {},
    }
    client = Client(headers={"Host": "localhost"})
    found = []
    for path, query in asked.items():
        text = "&".join(f"{name}={value}" for name, value in query.items() if name != "from")
        name = path.strip().replace(str(movie.pk), "ID").replace(movie.slug, "SLUG")
        name = name.replace(str(shown.pk), "ID").removeprefix(API)
        get = partial(client.get, path.strip(), query)
        found.append({"GET": f"{name}?{text}" if text else name, **_measure(get, rounds)})
    for name, document in (("programme", GRAPHQL), ("movies", GRAPHQL_MOVIES)):
        get = partial(client.get, "/graphql", {"query": document})
        found.append({"GET": f"/graphql, {name}", **_measure(get, rounds)})
    return found


def _measure(get: Callable[[], Any], rounds: int) -> dict[str, Any]:
    anew, kept = [], []
    for _ in range(rounds):
        _forget()
        anew.append(_timed(get))
        kept.append(_timed(get))
    _forget()
    with CaptureQueriesContext(connection) as first:
        body = get().content
    with CaptureQueriesContext(connection) as second:
        get()
    return {
        "anew": anew,
        "kept": kept,
        "queries_anew": len(first),
        "queries_kept": len(second),
        "bytes": len(body),
    }


def _timed(get: Callable[[], Any]) -> float:
    started_at = time.perf_counter()
    answer = get()
    took = (time.perf_counter() - started_at) * 1000
    assert answer.status_code == 200, answer.content
    return took


def _forget() -> None:
    """As after a change of the catalogue, in a process that has never made this answer."""
    catalogue.forget()
    responses.forget()
    cache.clear()
