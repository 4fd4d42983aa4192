"""Sends and reads what is said of many screenings at once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from movies.models import Movie, Screening
from tests.builders import Client, make_screening

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

#: A Thursday, and the one after.
THURSDAY, NEXT_THURSDAY = "2026-12-03", "2026-12-10"


def put_on(movie: Movie, local: str, hall: str = "Hall 1", **fields: Any) -> Screening:
    """A screening that stands, by the cinema's clock: `2026-12-03 20:00`."""
    starts_at = timezone.make_aware(datetime.fromisoformat(local))
    return make_screening(movie, starts_at=starts_at, hall=hall, **fields)


def copy(staff: Client, **order: Any) -> Response:
    """One Thursday to the next, and what `order` says otherwise."""
    return staff.post("/screenings/copy", {"from": THURSDAY, "to": NEXT_THURSDAY, **order})


def fill(staff: Client, movie: Movie, **pattern: Any) -> Response:
    """One Thursday at 18:00 in Hall 1, and what `pattern` says otherwise."""
    one = {"from": THURSDAY, "to": THURSDAY, "hall": "Hall 1", "times": ["18:00"]}
    return staff.post("/screenings/bulk", {"movie_id": movie.pk, **one, **pattern})


def placed(answer: Response, status: int = 201) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    return body


def starts(answer: Response, status: int = 201) -> list[str]:
    """When the created ones start, without year and offset: `12-03T20:00`."""
    return [one["starts_at"][5:16] for one in placed(answer, status)["created"]]


def collisions(answer: Response) -> list[dict[str, Any]]:
    """The collisions that a refusal names."""
    assert answer.status_code == 409, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    found: list[dict[str, Any]] = answer.json()["collisions"]
    return found
