"""Builders and readers for what goes to and comes from the catalogue's addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from tests.builders import Client

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


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
    with transaction.atomic():
        change()
        thread.start()
        thread.join(timeout=0.3)
    thread.join()
    return answers[0]
