"""Lists of films, timed; and what Postgres reads for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

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
#: One letter and common words and beginnings, a rare one, a name, several words, many letters.
QUERIES = ("", "s", "the", "con", "the man", "young woman in love", "tarkov", "kurosawa", "x" * 500)
SORTS = ("name", "-ranking", "start_date", "-rating", "relevance")
PATH = "/api/v1/movies"
PER_PAGE = 20
A_MOMENTS_ROWS = 5_000


def measure_lists(*, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each round, number of queries, and the plans' nodes of each combination."""
    found = []
    for name, filters in FILTERS.items():
        for q in QUERIES:
            for sort in SORTS:
                asked = {**filters, "sort": sort, **({"q": q} if q else {})}
                about = {"filter": name, "q": q[:20], "sort": sort}
                first = _measure(asked, rounds)
                found.append({**about, "page": "", **first})
                if not q and sort != "relevance" and first["total"] > PER_PAGE:
                    last = -(-first["total"] // PER_PAGE)
                    asked["page"] = last
                    found.append({**about, "page": "last", **_measure(asked, rounds)})
    return found


def _measure(asked: Mapping[str, str | int], rounds: int) -> dict[str, Any]:
    # Who signs in is answered from Postgres and not from what was kept; films are for everybody, so
    # the token is not even looked at.
    client = Client(headers={"Host": "localhost", "Authorization": "Bearer nobody"})

    def get() -> Any:
        answer = client.get(PATH, asked)
        assert answer.status_code == 200, answer.content
        return answer

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
        "queries": len(statements),
        "plans": ["; ".join(dict.fromkeys(node.name for node in nodes)) for nodes in read],
        "reads_table": any(node.reads_table for nodes in read for node in nodes),
    }


@dataclass(frozen=True)
class Node:
    """Of a plan, where something is read."""

    name: str
    rows_looked_at: float

    @property
    def reads_table(self) -> bool:
        """Not for a moment, until what was looked for is found."""
        return self.name.startswith("Seq Scan") and self.rows_looked_at > A_MOMENTS_ROWS


def _read(statement: str) -> Iterator[Node]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")
        [[[explained]]] = cursor.fetchall()
    return _nodes(explained["Plan"])


def _nodes(plan: dict[str, Any]) -> Iterator[Node]:
    place = plan.get("Index Name") or plan.get("Relation Name")
    if place and plan["Actual Loops"]:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield Node(f"{plan['Node Type']} on {place}", rows)
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
