"""Viewings, written through HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from movies.models import Movie, Screening
from tests.builders import Client

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

PATH = "/users/me/history"


def ago(**parts: float) -> datetime:
    return timezone.now() - timedelta(**parts)


def watch(client: Client, movie: Movie, **fields: Any) -> Response:
    return client.post(PATH, {"movie_id": movie.pk, **fields})


def check_in(client: Client, screening: Screening, **fields: Any) -> Response:
    return watch(client, screening.movie, screening_id=screening.pk, **fields)


def entries(client: Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def ids(client: Client, **query: Any) -> list[int]:
    return [entry["id"] for entry in entries(client, **query)]


def refused_fields(answer: Response) -> list[str]:
    assert answer.status_code == 422, answer.content
    return [error["field"] for error in answer.json()["errors"]]


def moment(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["watched_at"])
