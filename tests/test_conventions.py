"""Conventions of every address of the API."""

from __future__ import annotations

import pytest

from tests.builders import Client, make_movie

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing-here", 404),
        ("GET", "/api/v1/movies/999999999", 404),
        ("GET", "/api/v1/movies/99999999999999999999999", 404),
        ("DELETE", "/api/v1/movies", 405),
        ("POST", "/api/v1/movies", 401),
        ("GET", "/api/v1/movies?page=0", 422),
        ("POST", "/health/live", 405),
    ],
)
def test_every_error_is_a_problem_document(
    anonymous: Client, method: str, path: str, status: int
) -> None:
    answer = anonymous.send(method, path)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()


def test_401_says_how_to_sign_in(anonymous: Client) -> None:
    answer = anonymous.get("/users/me")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_malformed_field_is_named_with_its_place(staff: Client) -> None:
    answer = staff.post("/movies", {"name": "X", "protagonists": ["Y"], "start_date": "soon"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.start_date"]
    answer = staff.get("/movies", per_page=101)
    assert [error["field"] for error in answer.json()["errors"]] == ["query.per_page"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1,2", b"{} {}", b'"\\ud800"'])
def test_a_body_that_is_not_json_is_422(staff: Client, body: bytes) -> None:
    assert staff.send("POST", "/movies", body).status_code == 422


def test_the_request_id_is_taken_made_and_returned(anonymous: Client) -> None:
    mine = anonymous.send("GET", "/movies", headers={"X-Request-ID": "abc-123"})
    assert mine["X-Request-ID"] == "abc-123"
    made = anonymous.send("GET", "/movies", headers={"X-Request-ID": "no\tgood"})
    assert len(made["X-Request-ID"]) == 32


def test_public_reads_have_an_etag_that_answers_304(anonymous: Client) -> None:
    make_movie()
    first = anonymous.get("/movies")
    assert "public" in first["Cache-Control"]
    again = anonymous.send("GET", "/movies", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_personal_answers_are_not_stored(viewer: Client) -> None:
    assert viewer.get("/users/me")["Cache-Control"] == "no-store"


def test_pages_count_and_end(anonymous: Client) -> None:
    for _ in range(3):
        make_movie()
    page = anonymous.get("/movies", page=2, per_page=2).json()
    assert len(page["data"]) == 1
    assert page["pagination"] == {"page": 2, "per_page": 2, "total": 3, "pages": 2}
    past_the_end = anonymous.get("/movies", page=9)
    assert (past_the_end.status_code, past_the_end.json()["data"]) == (200, [])
