"""Requests that are counted, and what they are answered once they are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import Client

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

#: The beginning of a minute and of an hour.
NOON = 1_795_176_000.0
LOGIN = {"email": "nobody@example.org", "password": "cleo from 5 to 7"}


def get(path: str = "/genres", *, of: Client | None = None, at: str = "") -> Response:
    """`at` is what the request says of its way."""
    return (of or Client()).send("GET", path, headers={"X-Forwarded-For": at} if at else None)


def login(email: str = LOGIN["email"], *, at: str = "192.0.2.1") -> Response:
    headers = {"X-Forwarded-For": at}
    return Client().send("POST", "/auth/login", {**LOGIN, "email": email}, headers=headers)


def statuses(count: int, *, of: Client | None = None, at: str = "") -> list[int]:
    return [get(of=of, at=at).status_code for _ in range(count)]


def assert_refused(answer: Response, retry_after: int) -> None:
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Retry-After"] == str(retry_after)
    assert answer["Cache-Control"] == "no-store"
    document = answer.json()
    assert (document["title"], document["status"]) == ("Too Many Requests", 429)
    assert f"Try again in {retry_after} second" in document["detail"]
