"""Builders and readers for what goes to and comes from the catalogue's addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from movies.models import Movie
from tests.builders import Client
from tests.concurrency import until_it_waits

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

EVENING = "2026-12-03T20:00:00+01:00"


def film(**fields: Any) -> dict[str, Any]:
    """The least that a movie needs, and `fields`."""
    needed = {"name": "Cléo", "protagonists": ["Corinne Marchand"], "start_date": "2026-12-03"}
    return {**needed, **fields}


def posted(staff: Client, **fields: Any) -> dict[str, Any]:
    """A movie posted through the API, as it was answered."""
    answer = staff.post("/movies", film(**fields))
    assert answer.status_code == 201, answer.content
    movie: dict[str, Any] = answer.json()
    return movie


def show(movie: Movie, **fields: Any) -> dict[str, Any]:
    """The least that a screening needs, and `fields`."""
    return {"movie_id": movie.pk, "hall": "Hall 1", "starts_at": EVENING, **fields}


def posted_screening(staff: Client, movie: Movie, **fields: Any) -> dict[str, Any]:
    """A screening posted through the API, as it was answered."""
    answer = staff.post("/screenings", show(movie, **fields))
    assert answer.status_code == 201, answer.content
    screening: dict[str, Any] = answer.json()
    return screening


def programme(client: Client, **query: Any) -> dict[str, Any]:
    """The programme as it was answered."""
    answer = client.get("/programme", **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def shown(client: Client, **query: Any) -> dict[str, list[str]]:
    """The names of the movies in the programme by date, without the days that have none."""
    days = programme(client, **query)["days"]
    return {
        day["date"]: [movie["name"] for movie in day["movies"]] for day in days if day["movies"]
    }


def refused_fields(answer: Response) -> list[str]:
    """The fields that a 422 names; the elements of a list count as the list."""
    assert answer.status_code == 422, answer.content
    named = (error["field"].split(".") for error in answer.json()["errors"])
    return list(dict.fromkeys(".".join(parts[:2]) for parts in named))


def while_uncommitted(change: Callable[[], object], call: Callable[[], Response]) -> Response:
    """The answer to a call that arrives after a change has been made and before its commit."""
    answers: list[Response] = []

    def run() -> None:
        answers.append(call())
        connection.close()

    thread = threading.Thread(target=run)
    try:
        with transaction.atomic():
            change()
            thread.start()
            until_it_waits(thread)
    finally:
        if thread.ident:
            thread.join()
    return answers[0]
