"""request.http, sent from top to bottom to a running Cinema; and what makes it complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from cinema.development import STAFF, VIEWER
from cinema.development.processes import wait_for
from recommendations.models import TrainingRun
from tests.api_document import document
from tests.http_file import Answer, Block, blocks
from tests.jetbrains_client import JetBrainsClient
from tests.jetbrains_tour import MADE, SOURCE, translate
from tests.rest_client import RestClient
from tests.running import PATIENCE_S, RunningCinema, filled_home

TOUR = blocks(SOURCE.read_text())


@pytest.fixture(scope="module")
def cinema() -> Iterator[RunningCinema]:
    running = RunningCinema(filled_home("a home with spaces")).start()
    yield running
    running.stop()


def wrong_answers(client: RestClient | JetBrainsClient) -> list[tuple[str, str, object]]:
    """Run a file from top to bottom; what got another status than it names."""
    wrong: list[tuple[str, str, object]] = []
    for block in client.blocks:
        answer = send(client, block)
        if str(answer.status) != block.notes["expect"]:
            wrong.append((block.title, block.request_line, answer))
    return wrong


def send(client: RestClient | JetBrainsClient, block: Block) -> Answer:
    """Send the request, and repeat those whose answer is not final.

    These are a health check, which a worker of a busy machine answers too late, and the state of a
    training, which would publish its release while the next run of the tour holds an older one.
    """
    for _ in range(PATIENCE_S):
        answer = client.send(block)
        if not _is_provisional(block, answer):
            break
        sleep(1)
    return answer


def _is_provisional(block: Block, answer: Answer) -> bool:
    if block.request_line.endswith("/health/ready"):
        return answer.status == 503
    is_run = "/releases/runs/" in block.request_line and answer.status == 200
    return is_run and answer.body["state"] in TrainingRun.UNFINISHED


def of(cinema: RunningCinema, path: Path) -> str:
    return path.read_text().replace("http://127.0.0.1:8000", cinema.url)


def test_rest_client_runs_the_tour_and_runs_it_again(cinema: RunningCinema) -> None:
    first = RestClient(of(cinema, SOURCE), SOURCE.parent)
    assert wrong_answers(first) == []
    assert first.answers["programme"].body["days"]
    assert wrong_answers(RestClient(of(cinema, SOURCE), SOURCE.parent)) == []


def test_a_training_that_staff_ask_for_is_published(cinema: RunningCinema) -> None:
    """The tour asks for one too, and then deletes the account whose ratings it would learn from."""
    staff, viewer = (
        cinema.post("/api/v1/auth/login", {"email": sign_in.email, "password": sign_in.password})
        for sign_in in (STAFF, VIEWER)
    )
    movie = cinema.get("/api/v1/movies?per_page=1")["data"][0]
    payload = {"movie_id": movie["id"], "kind": "superlike"}
    cinema.post("/api/v1/interactions", payload, viewer["access"])

    def is_published() -> bool:
        run = cinema.post("/api/v1/releases/train", {}, staff["access"])
        path = f"/api/v1/releases/runs/{run['id']}"
        return wait_for(
            lambda: cinema.get(path, staff["access"])["state"] == "published", timeout_s=30
        )

    assert wait_for(is_published, timeout_s=600)


def test_the_client_of_jetbrains_runs_its_tour_and_runs_it_again(cinema: RunningCinema) -> None:
    for _ in range(2):
        assert wrong_answers(JetBrainsClient(of(cinema, MADE), MADE.parent)) == []


def test_the_tour_for_jetbrains_is_the_same_tour() -> None:
    """After a change of request.http: `python -m tests.jetbrains_tour`."""
    assert MADE.read_text() == translate(SOURCE.read_text())


def test_every_request_says_what_it_expects() -> None:
    assert [block.title for block in TOUR if not block.notes.get("expect", "").isdigit()] == []


def test_no_variable_of_the_file_changes_from_request_to_request() -> None:
    """REST Client evaluates it for each request: a name made with it is not found again."""
    head = SOURCE.read_text().partition("###")[0]
    assert [line for line in head.splitlines() if line.startswith("@") and "{{$" in line] == []


def test_every_route_is_on_the_tour() -> None:
    sent = {_route(block) for block in TOUR}
    routes = {
        (method, re.sub(r"{\w+}", "*", path))
        for path, operations in document()["paths"].items()
        for method in operations
    }
    assert routes - sent == set()


def _route(block: Block) -> tuple[str, str]:
    """The method, and the path with a star for each value that comes from an earlier answer."""
    method, _, url = block.request_line.partition(" ")
    path = url.replace("{{api}}", "/api/v1").partition("?")[0]
    return method.lower(), re.sub(r"{{[^}]+}}", "*", path)


def test_the_ratings_are_seen_by_the_next_list(cinema: RunningCinema) -> None:
    """A rated film leaves the list at once, and the next list uses the rating."""
    newcomer = {"email": "newcomer@example.org", "password": "a seat at the back"}
    cinema.post("/api/v1/auth/register", newcomer)
    access = cinema.post("/api/v1/auth/login", newcomer)["access"]
    before = cinema.get("/api/v1/recommendations", access)
    assert {item["source"] for item in before["items"]} <= {"popularity", "exploration", "pin"}
    horror = cinema.get("/api/v1/movies?genre=horror&per_page=3")["data"]
    for movie in horror:
        payload = {"movie_id": movie["id"], "kind": "superlike"}
        cinema.post("/api/v1/interactions", payload, access)
    after = cinema.get("/api/v1/recommendations", access)
    found_by = {item["source"] for item in after["items"]}
    assert found_by <= {"als", "content", "popularity", "exploration", "pin"}
    assert found_by & {"als", "content"}
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
    """The viewer has a taste, which other visible viewers share, and a film is pinned."""
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
