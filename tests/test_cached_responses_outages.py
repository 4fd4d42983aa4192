"""Responses while Postgres or Valkey is away, or hangs, and when many ask at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from cinema.cache import ForgivingRedisCache
from cinema.development.processes import wait_for
from cinema.response_cache import responses
from movies.models import Movie
from tests.audience import rate
from tests.builders import Client, make_movie, make_user
from tests.concurrency import and_disconnect, at_once
from tests.outages import database_refusing

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

PATHS = [
    "/movies",
    "/movies/trending",
    "/movies/popular",
    "/movies/{id}",
    "/movies/by-slug/{slug}",
    "/movies/{id}/similar",
    "/genres",
]


def paths_of(film: Movie) -> list[str]:
    return [path.format(id=film.pk, slug=film.slug) for path in PATHS]


def ended(answer: Response) -> Response:
    """Put the connection back, as the end of a request does outside of tests."""
    connection.close()
    return answer


# --- Postgres


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_while_postgres_is_away_the_last_answers_are_served_and_marked_as_stale() -> None:
    anonymous = Client()
    paths = paths_of(make_movie(genres=["drama"]))
    fresh = {path: anonymous.get(path) for path in paths}
    with database_refusing():
        for path in paths:
            answer = ended(anonymous.get(path))
            assert (answer.status_code, answer.content) == (200, fresh[path].content), path
            assert answer["Warning"] == '110 cinema "Response is Stale"'
            known = {"If-None-Match": fresh[path]["ETag"]}
            assert ended(anonymous.send("GET", path, headers=known)).status_code == 304
            signed_in = {"Authorization": "whoever it is"}
            answer = ended(anonymous.send("GET", path, headers=signed_in))
            assert (answer.status_code, answer.content) == (200, fresh[path].content), path
        never_made = ended(anonymous.get("/movies?genre=music"))
        assert never_made.status_code == 503
        assert int(never_made["Retry-After"]) > 0
    assert wait_for(lambda: "Warning" not in anonymous.get("/movies/trending"), timeout_s=60)
    assert all("Warning" not in anonymous.get(path) for path in paths)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_a_process_started_without_postgres_answers_from_the_shared_cache() -> None:
    from movies import catalogue

    anonymous = Client()
    [path, *_] = paths_of(make_movie())
    fresh = anonymous.get(path)
    responses.forget()
    catalogue.forget()
    with database_refusing():
        answer = ended(anonymous.get(path))
    assert (answer.status_code, answer.content) == (200, fresh.content)
    assert answer["Cache-Status"] == "cinema; hit; detail=stale"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_an_expired_answer_is_served_if_no_new_one_can_be_made() -> None:
    """The process knows of the write, and then cannot make the answer anew."""
    anonymous = Client()
    film = make_movie(name="Before")
    path = f"/movies/{film.pk}"
    before = anonymous.get(path)
    Movie.objects.update(name="After")
    assert b"After" in anonymous.get("/movies").content
    with database_refusing():
        answer = ended(anonymous.get(path))
    assert (answer.status_code, answer.content) == (200, before.content)
    assert "Warning" in answer
    assert wait_for(lambda: b"After" in anonymous.get(path).content, timeout_s=60)


# --- Valkey


@contextmanager
def hanging_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Takes connections and says nothing; its address, and who has come."""
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    callers.append(server.accept()[0])
                except OSError:
                    return

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"redis://127.0.0.1:{server.getsockname()[1]}/0", callers
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for caller in callers:
                caller.close()


def use_cache_at(settings: Settings, address: str) -> None:
    """The tests' own cache has all the time it needs; this one has as much as it gets elsewhere."""
    standing = settings.CACHES["default"]
    options = {**standing["OPTIONS"], "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    settings.CACHES = {"default": {**standing, "LOCATION": address, "OPTIONS": options}}


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known yet of the cache."""
    monkeypatch.setattr(ForgivingRedisCache, "_away_until", 0.0)


@pytest.mark.django_db
@pytest.mark.usefixtures("trusting")
def test_without_valkey_everything_is_answered_from_postgres(
    anonymous: Client, viewer: Client, staff: Client, settings: Settings
) -> None:
    film = make_movie(genres=["drama"])
    paths = paths_of(film)
    use_cache_at(settings, "unix:///nowhere/valkey.sock")
    for _ in range(2):
        for path in paths:
            answer = anonymous.get(path)
            assert answer.status_code == 200, path
            assert "Warning" not in answer
    assert rate(viewer, film, 4).status_code == 200
    assert anonymous.get(f"/movies/{film.pk}").json()["rating_count"] == 1
    assert staff.patch(f"/movies/{film.pk}", {"name": "Changed"}).status_code == 200
    assert b"Changed" in anonymous.get("/movies").content
    counted = staff.get("/cache/statistics").json()
    assert counted["all_processes"] is False
    assert {kind["kind"] for kind in counted["answers"]} >= {"trending", "details", "search"}


@pytest.mark.django_db
@pytest.mark.usefixtures("trusting")
def test_a_hanging_valkey_is_tried_once_and_then_left_alone(
    anonymous: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema.cache.PAUSE_S", 3600)
    paths = paths_of(make_movie(genres=["drama"]))
    with hanging_server() as (address, callers):
        use_cache_at(settings, address)
        for path in paths:
            assert anonymous.get(path).status_code == 200
        assert wait_for(lambda: len(callers) == 1, timeout_s=60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("trusting")
def test_one_of_many_requests_checks_whether_valkey_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hanging_server() as (address, callers):
        monkeypatch.setattr("cinema.cache.PAUSE_S", 3600)
        use_cache_at(settings, address)
        assert Client().get("/movies").status_code == 200
        monkeypatch.setattr(ForgivingRedisCache, "_away_until", 1e-9)  # the pause is over
        pages = [lambda n=n: Client().get("/movies", per_page=n).status_code for n in range(1, 7)]
        answered = at_once(pages)
        assert answered == [200] * 6
        assert wait_for(lambda: len(callers) == 2, timeout_s=60)


# --- many at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
def test_one_of_many_simultaneous_requests_asks_postgres(
    path: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PatientFuture(Future[Any]):
        """A busy machine may suspend the thread that builds the response for seconds."""

        def result(self, timeout: float | None = None) -> Any:
            return super().result(60)

    monkeypatch.setattr("cinema.response_cache.Future", PatientFuture)
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    film = make_movie(genres=["drama"])
    path = path.format(id=film.pk, slug=film.slug)
    staff = Client(make_user(is_staff=True))
    bodies = at_once([lambda: Client().get(path).content] * 8)
    assert len(set(bodies)) == 1
    for kind in staff.get("/cache/statistics").json()["answers"]:
        assert kind["made"] == 1, kind


@pytest.mark.django_db(transaction=True)
def test_no_reader_gets_an_old_answer_after_a_write() -> None:
    """However many read while it is made anew."""
    film = make_movie(name="Before")
    path = f"/movies/{film.pk}"
    staff = Client(make_user(is_staff=True))
    Client().get(path)
    for number in range(5):
        assert staff.patch(path, {"name": f"After {number}"}).status_code == 200
        names = at_once([lambda: Client().get(path).json()["name"]] * 6)
        assert names == [f"After {number}"] * 6


@pytest.mark.django_db(transaction=True)
def test_while_raters_and_readers_go_on_the_last_rating_shows_in_the_end() -> None:
    film = make_movie()
    path = f"/movies/{film.pk}"
    viewers = [Client(make_user()) for _ in range(4)]

    def rate_on(viewer: Client) -> None:
        for stars in (1, 2, 3, 4):
            rate(viewer, film, stars)

    def read_on() -> None:
        for _ in range(10):
            assert Client().get(path).status_code == 200

    calls = [lambda viewer=viewer: rate_on(viewer) for viewer in viewers]
    at_once([*calls, read_on, read_on])
    assert and_disconnect(lambda: Client().get(path).json()["rating_average"]) == 4
    responses.forget()
    assert Client().get(path).json()["rating_average"] == 4
