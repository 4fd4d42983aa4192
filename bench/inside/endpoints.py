"""Times each public endpoint of the catalogue, uncached and cached, and lists with all filters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
        found.append({"GET": f"{name}?{text}" if text else name, **_measure_endpoint(get, rounds)})
    for name, document in (("programme", GRAPHQL), ("movies", GRAPHQL_MOVIES)):
        get = partial(client.get, "/graphql", {"query": document})
        found.append({"GET": f"/graphql, {name}", **_measure_endpoint(get, rounds)})
    return found


def _measure_endpoint(get: Callable[[], Any], rounds: int) -> dict[str, Any]:
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
    """Build the answer as after a change of the catalogue, in a process that has not built it."""
    catalogue.forget()
    responses.forget()
    cache.clear()


FILTERS: dict[str, dict[str, str | int]] = {
    "": {},
    "frequent genre": {"genre": "drama"},
    "rare genre": {"genre": "noir"},
    "finished": {"status": "finished"},
    "running": {"status": "running"},
    "frequent language": {"language": "en"},
    "rare language": {"language": "is"},
    "person": {"person": "agnes varda"},
    "many years": {"year_from": 1990},
    "few years": {"year_from": 1930, "year_to": 1935},
    "all of them": {
        "genre": "drama",
        "language": "en",
        "status": "finished",
        "year_from": 1960,
        "year_to": 2020,
    },
}
#: A letter, common words and beginnings, a rare beginning, a name, several words, a long text.
QUERIES = ("", "s", "the", "con", "the man", "young woman in love", "tarkov", "kurosawa", "x" * 500)
SORTS = ("name", "-ranking", "start_date", "-rating", "relevance")
#: Frequent, rare and missing values, alone and in pairs.
SCREENING_FILTERS: dict[str, dict[str, str | int | list[str]]] = {
    "": {},
    "hall": {"hall": "Hall 1"},
    "rare state": {"state": "sold-out"},
    "version": {"version": "dubbed"},
    "finished": {"status": "finished"},
    "coming up": {"status": "coming-up"},
    "frequent genre": {"genre": "drama"},
    "rare genre": {"genre": "noir"},
    "frequent language": {"language": "en"},
    "missing language": {"language": "fr"},
    "subtitles": {"subtitles": "en"},
    "understands": {"understands": ["en", "fr"]},
    "tag": {"tag": "35mm"},
    "ten years": {"from": "2005-01-01T00:00:00Z", "to": "2015-01-01T00:00:00Z"},
    "rare state and genre": {"state": "sold-out", "genre": "noir"},
    "hall and genre": {"hall": "Hall 1", "genre": "drama"},
}
PER_PAGE = 20
#: Requests with a token are answered from Postgres and not from the cache; films are public, so
#: the token is not even looked at.
UNCACHED = {"Host": "localhost", "Authorization": "Bearer nobody"}
A_MOMENTS_ROWS = 5_000


def measure_lists(*, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each round, number of queries, and the plans' nodes of each combination."""
    found: list[dict[str, Any]] = []
    for name, filters in FILTERS.items():
        for q in QUERIES:
            for sort in SORTS:
                asked = {**filters, "sort": sort, **({"q": q} if q else {})}
                about = {"filter": name, "q": q[:20], "sort": sort}
                pages = {} if q or sort == "relevance" else {"middle": 2, "last": 1}
                found += _measure_pages(f"{API}/movies", asked, about, pages, rounds)
    for name, wanted in SCREENING_FILTERS.items():
        about = {"filter": f"screenings: {name}", "q": "", "sort": "start"}
        pages = {"middle": 2, "last": 1}
        found += _measure_pages(f"{API}/screenings", wanted, about, pages, rounds)
    return found


def _measure_pages(
    path: str,
    asked: Mapping[str, Any],
    about: Mapping[str, str],
    pages: Mapping[str, int],
    rounds: int,
) -> Iterator[dict[str, Any]]:
    """The first page, and others at a part of the list: 2 is the half, 1 the end."""
    first = _measure_list(path, asked, rounds)
    yield {**about, "page": "", **first}
    for page, part in pages.items():
        if (number := -(-first["total"] // PER_PAGE) // part) > 1:
            found = _measure_list(path, {**asked, "page": number}, rounds)
            yield {**about, "page": page, **found}


def _measure_list(path: str, asked: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    client = Client(headers=UNCACHED if path.endswith("/movies") else {"Host": "localhost"})

    def get() -> Any:
        answer = client.get(path, asked)
        assert answer.status_code == 200, answer.content
        return answer

    _forget()
    first_ms = _timed(get)
    with CaptureQueriesContext(connection) as captured:
        total = get().json()["pagination"]["total"]
    # Each further request empties the list of queries. The version is asked for by the clock.
    statements = [query["sql"] for query in captured.captured_queries]
    statements = [each for each in statements if "movies_catalogueversion" not in each]
    read = [list(_read(statement)) for statement in statements]
    milliseconds = []
    for _ in range(rounds):
        started_at = time.perf_counter()
        get()
        milliseconds.append((time.perf_counter() - started_at) * 1000)
    return {
        "total": total,
        "ms": milliseconds,
        "first ms": first_ms,
        "queries": len(statements),
        "plans": ["; ".join(dict.fromkeys(node.name for node in nodes)) for nodes in read],
        "reads_table": any(node.reads_table for nodes in read for node in nodes),
    }


@dataclass(frozen=True)
class PlanNode:
    """A node of a query plan that reads a table or an index."""

    name: str
    rows_looked_at: float

    @property
    def reads_table(self) -> bool:
        """Whether a scan reads more of the table than a few rows until it has found one."""
        return self.name.startswith("Seq Scan") and self.rows_looked_at > A_MOMENTS_ROWS


def _read(statement: str) -> Iterator[PlanNode]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")
        [[[explained]]] = cursor.fetchall()
    return _nodes(explained["Plan"])


def _nodes(plan: dict[str, Any]) -> Iterator[PlanNode]:
    place = plan.get("Index Name") or plan.get("Relation Name")
    if place and plan["Actual Loops"]:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield PlanNode(f"{plan['Node Type']} on {place}", rows)
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
