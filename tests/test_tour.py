"""request.http, sent from top to bottom to a running Cinema; and what makes it complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cinema.api import api
from cinema.processes import wait_for
from tests.http_file import Session, parse
from tests.running import ROOT, RunningCinema, new_home

VARIABLES, REQUESTS = parse((ROOT / "request.http").read_text())


@pytest.fixture(scope="module")
def cinema() -> Iterator[RunningCinema]:
    running = RunningCinema(new_home("a home with spaces")).start()
    yield running
    running.stop()


def test_the_tour_gets_the_statuses_that_it_names(cinema: RunningCinema) -> None:
    text = (ROOT / "request.http").read_text().replace("http://127.0.0.1:8000", cinema.url)
    variables, requests = parse(text)
    session = Session(variables)
    wrong = []
    for request in requests:
        answer = session.send(request)
        if answer.status != request.expected:
            wrong.append((request.method, request.url, answer))
    assert not wrong
    assert session.answers["trained"].body["state"] == "published"
    assert session.answers["programme"].body["days"]


def test_every_request_says_what_it_expects() -> None:
    assert [request.url for request in REQUESTS if request.expected is None] == []


def test_every_route_is_on_the_tour() -> None:
    sent = {
        (request.method.lower(), _shape(Session(dict(VARIABLES)), request.url))
        for request in REQUESTS
    }
    document: dict[str, Any] = api.get_openapi_schema()
    routes = {
        (method, re.sub(r"{\w+}", "*", path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert routes - sent == set()


def _shape(session: Session, url: str) -> str:
    """The path with a star for each value that comes from an earlier answer."""
    path = url.replace("{{api}}", "/api/v1").partition("?")[0]
    return re.sub(r"{{[^}]+}}", "*", path)


def test_the_ratings_are_seen_by_the_next_list(cinema: RunningCinema) -> None:
    """What a viewer rates leaves the list at once; the one made meanwhile goes by it, and why."""
    newcomer = {"email": "newcomer@example.org", "password": "a seat at the back"}
    cinema.post("/api/v1/auth/register", newcomer)
    access = cinema.post("/api/v1/auth/login", newcomer)["access"]
    before = cinema.get("/api/v1/recommendations", access)
    assert {item["source"] for item in before["items"]} <= {"popularity", "exploration", "pin"}
    horror = cinema.get("/api/v1/movies?genre=horror&per_page=3")["data"]
    for movie in horror:
        payload = {"movie_id": movie["id"], "kind": "superlike"}
        cinema.post("/api/v1/interactions", payload, access)
    at_once = cinema.get("/api/v1/recommendations", access)
    assert {item["movie"]["id"] for item in at_once["items"]}.isdisjoint(m["id"] for m in horror)

    def is_renewed() -> bool:
        listed = cinema.get("/api/v1/recommendations", access)
        return bool({item["source"] for item in listed["items"]} & {"als", "content"})

    assert wait_for(is_renewed, timeout_s=20, every_s=0.2)
    after = cinema.get("/api/v1/recommendations", access)
    found_by = {item["source"] for item in after["items"]}
    assert found_by <= {"als", "content", "popularity", "exploration", "pin"}
    assert {item["movie"]["id"] for item in after["items"]}.isdisjoint(m["id"] for m in horror)
    reasons = [reason for item in after["items"] for reason in item["reasons"]]
    by_films = {reason["movie_id"] for reason in reasons} - {None}
    assert by_films
    assert by_films <= {movie["id"] for movie in horror}
    share_of_horror = [
        sum("horror" in [g["slug"] for g in item["movie"]["genres"]] for item in found["items"])
        for found in (before, after)
    ]
    assert share_of_horror[1] > share_of_horror[0]


def test_the_demonstration_shows_each_feature_at_once(cinema: RunningCinema) -> None:
    """Its viewer has a taste, others share it and agree to be seen, and a film is pinned."""
    access = cinema.post(
        "/api/v1/auth/login",
        {"email": "viewer@cinema.example", "password": "front row centre"},
    )["access"]
    matches = {match["user"]["id"] for match in cinema.get("/api/v1/matches", access)["data"]}
    assert len(matches) >= 3
    items = cinema.get("/api/v1/recommendations?limit=40", access)["items"]
    assert [item["rank"] for item in items if item["source"] == "pin"] == [3]
    assert {reason["kind"] for item in items for reason in item["reasons"]} >= {"liked", "staff"}
    matched = {user["id"] for item in items for user in item["matched_users"]}
    assert matched
    assert matched <= matches
    assert any(item["potential_matches"] for item in items)
    similar = cinema.get(f"/api/v1/movies/{items[0]['movie']['id']}/similar")
    assert len(similar["data"]) == 10


def test_swagger_and_its_assets_come_from_this_server(cinema: RunningCinema) -> None:
    import urllib.request

    for page in ("/api/v1/docs", "/api/v1/redoc", "/api/docs", "/admin/login/", "/"):
        with urllib.request.urlopen(cinema.url + page) as answer:  # noqa: S310
            html = answer.read().decode()
        sources = re.findall(r'(?:src|href)="([^"#]+)"', html)
        assets = [source for source in sources if re.search(r"\.(js|css|png|svg)$", source)]
        for asset in assets:
            assert asset.startswith("/static/"), f"{page} loads {asset}"
            with urllib.request.urlopen(cinema.url + asset) as answer:  # noqa: S310
                assert answer.status == 200


def test_the_secret_is_for_the_owner_alone(cinema: RunningCinema) -> None:
    secret: Path = cinema.home / "secret-key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) > 40
