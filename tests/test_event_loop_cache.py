"""Public documents that the event loop sends again: the same as from Django, and no longer."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from cinema.metrics import counters
from cinema.throttling.counters import rate
from cinema.web import event_loop_cache
from cinema.web.bodies import NO_BODY
from cinema.web.bridge import call_django, environ_of, send
from cinema.web.event_loop_cache import EventLoopCache
from movies import catalogue
from movies.models import Movie
from tests.builders import Client, change_movie, make_movie, make_screening, make_user

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

API = "/api/v1"
DOCUMENTS = ["/genres", "/programme", "/programme?days=3", "/movies/trending", "/programme.ics"]


class Headers:
    """Headers as granian gives them: several may have the same name."""

    def __init__(self, *given: tuple[str, str]) -> None:
        self._given = given

    def items(self) -> list[tuple[str, str]]:
        return list(self._given)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    is_repeated: bool


class Protocol:
    def __init__(self) -> None:
        self.sent: list[tuple[int, list[tuple[str, str]], bytes]] = []

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.sent.append((status, headers, body))

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.sent.append((status, headers, b""))


@dataclass
class Scope:
    path: str
    query_string: str
    headers: Headers
    method: str = "GET"
    scheme: str = "http"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8000"
    client: str = "127.0.0.1:50000"


@contextmanager
def connections_left_open() -> Iterator[None]:
    """Leave connections open as in the web. Closing them would end the transaction of the test."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


@dataclass
class Web:
    """The way of a request through the web server, in one thread."""

    cache: EventLoopCache = field(default_factory=EventLoopCache)
    django: WSGIHandler = field(default_factory=WSGIHandler)

    def get(
        self, path: str, *more: tuple[str, str], method: str = "GET", client: str = "127.0.0.1:1"
    ) -> Answer:
        path, _, query = path.partition("?")
        headers = Headers(("host", "localhost"), *more)
        scope = Scope(API + path, query, headers, method=method, client=client)
        protocol = Protocol()
        key = self.cache.send(scope, protocol)
        if key is not None:
            with connections_left_open():
                answer = call_django(self.django, environ_of(scope, NO_BODY))
            send(answer, protocol)
            self.cache.keep(key, answer)
        [(status, given, body)] = protocol.sent
        assert len({name for name, _ in given}) == len(given)
        return Answer(status, dict(given), body, key is None)


@pytest.fixture
def web(settings: Settings) -> Web:
    settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    make_screening(make_movie(name="Cléo", genres=["Drama"]))
    return Web()


def test_an_answer_does_not_keep_its_catalogue_in_memory(web: Web) -> None:
    for path in DOCUMENTS:
        web.get(path)
    old = weakref.ref(catalogue.current().snapshot)
    change_movie(Movie.objects.get(), name="Vagabond")
    catalogue.expire()
    for path in DOCUMENTS:
        web.get(path, ("if-none-match", '"another"'))  # other keys: the first answers stay
    gc.collect()
    assert old() is None


def without_id(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "X-Request-ID"}


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("encoding", ["identity", "br", "gzip"])
def test_a_public_document_is_sent_again_as_it_was(
    web: Web, path: str, encoding: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    accept = ("accept-encoding", encoding)
    first = web.get(path, accept)
    with django_assert_num_queries(0):
        again = web.get(path, accept, ("x-request-id", "of-the-proxy"))
    assert (first.is_repeated, again.is_repeated) == (False, True)
    assert (again.status, again.body) == (first.status, first.body)
    assert without_id(again.headers) == without_id(first.headers)
    assert again.headers["X-Request-ID"] == "of-the-proxy" != first.headers["X-Request-ID"]
    assert web.get(path, accept).headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_repeated_304_answers_are_cached(web: Web) -> None:
    etag = web.get("/programme").headers["ETag"]
    answers = [web.get("/programme", ("if-none-match", etag)) for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(304, b"")] * 2
    assert answers[1].is_repeated
    assert web.get("/programme", ("if-none-match", '"other"')).status == 200


def test_a_change_by_this_process_ends_the_repetition(web: Web) -> None:
    movie = make_movie(name="Playtime")
    web.get("/movies/trending")
    assert web.get("/movies/trending").is_repeated
    changed = Client(make_user(is_staff=True)).patch(f"/movies/{movie.pk}", {"name": "Mon oncle"})
    assert changed.status_code == 200
    answer = web.get("/movies/trending")
    assert not answer.is_repeated
    assert "Mon oncle" in [film["name"] for film in json.loads(answer.body)["data"]]


def test_a_change_by_another_process_ends_the_repetition_after_the_interval(
    web: Web, settings: Settings
) -> None:
    movie = make_movie(name="Playtime")
    web.get("/movies/trending")
    change_movie(movie, name="Mon oncle")
    assert web.get("/movies/trending").is_repeated  # this process has not looked yet
    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9
    answer = web.get("/movies/trending")
    assert not answer.is_repeated
    assert b"Mon oncle" in answer.body


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer x"), ("cookie", "sessionid=x"), ("range", "bytes=0-3"),
        ("if-match", '"x"'), ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-length", "3"), ("transfer-encoding", "chunked"),
    ],
)  # fmt: skip
def test_requests_for_personal_or_partial_responses_are_left_to_django(
    web: Web, header: tuple[str, str]
) -> None:
    web.get("/genres")
    assert web.get("/genres").is_repeated
    assert not web.get("/genres", header).is_repeated
    assert not web.get("/genres", header).is_repeated


def test_a_header_that_is_given_twice_poisons_nothing(web: Web) -> None:
    etag = web.get("/genres").headers["ETag"]
    for first, second in ((etag, '"x"'), ('"x"', etag)):
        twice = web.get("/genres", ("if-none-match", first), ("if-none-match", second))
        assert twice.status == 304
    assert web.get("/genres", ("if-none-match", '"x"')).status == 200


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept-encoding", "br", "gzip"),
        ("origin", "https://a.example", "https://b.example"),
        ("x-forwarded-proto", "https", "http"),
        ("if-none-match", '"a"', '"b"'),
    ],
)
def test_responses_that_differ_by_headers_are_kept_apart(
    web: Web, settings: Settings, name: str, one: str, other: str
) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://a.example"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    plain = {value: web.get("/genres", (name, value)) for value in (one, other)}
    for value in (one, other):
        again = web.get("/genres", (name, value))
        assert again.is_repeated
        assert without_id(again.headers) == without_id(plain[value].headers)


@pytest.mark.parametrize("path", ["/nothing", "/movies/999", "/genres?page=x", "/health/ready"])
def test_other_answers_are_not_kept(web: Web, path: str) -> None:
    assert [web.get(path).is_repeated for _ in range(2)] == [False, False]


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_other_methods_are_left_to_django(web: Web, method: str) -> None:
    web.get("/genres")
    assert not web.get("/genres", method=method).is_repeated


def test_a_movie_shows_a_rating_at_once(web: Web) -> None:
    movie = make_movie()
    assert json.loads(web.get(f"/movies/{movie.pk}").body)["rating_count"] == 0
    Client(make_user()).put(f"/movies/{movie.pk}/rating", {"stars": 4})
    assert json.loads(web.get(f"/movies/{movie.pk}").body)["rating_count"] == 1


def test_the_limit_of_an_address_counts_them(web: Web, settings: Settings) -> None:
    settings.THROTTLE_ANONYMOUS = rate("64/h")
    answers = [web.get("/genres") for _ in range(65)]
    assert [answer.status for answer in answers] == [200] * 64 + [429]
    assert sum(answer.is_repeated for answer in answers) > 40
    assert web.get("/genres", client="192.0.2.1:1").status == 200


def test_an_address_behind_a_proxy_has_its_own_limit(web: Web, settings: Settings) -> None:
    settings.THROTTLE_ANONYMOUS, settings.NUM_PROXIES = rate("64/h"), 1
    statuses = [web.get("/genres", ("x-forwarded-for", "192.0.2.1")).status for _ in range(66)]
    assert statuses.count(429) == 2
    assert web.get("/genres", ("x-forwarded-for", "192.0.2.2")).status == 200


def value(read: Callable[[], Any]) -> float:
    found: float = read()._value.get()
    return found


def test_repeated_answers_are_counted_and_logged_like_those_of_django(
    web: Web, capfd: pytest.CaptureFixture[str]
) -> None:
    def counted() -> tuple[float, float]:
        series: Any = counters.request_seconds.labels("GET", "api/v1/genres", "200")
        return (
            sum(bucket.get() for bucket in series._buckets),
            value(lambda: counters.cache_requests.labels("genres", "memory")),
        )

    web.get("/genres")
    requests, hits = counted()
    capfd.readouterr()
    assert all(web.get("/genres", ("x-request-id", f"n-{n}")).is_repeated for n in range(3))
    assert counted() == (requests + 3, hits + 3)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines] == ["n-0", "n-1", "n-2"]
    for line in lines:
        found = (line["method"], line["route"], line["status"], line["queries"], line["viewer"])
        assert found == ("GET", "api/v1/genres", 200, 0, None)


def test_no_client_fills_the_memory(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop_cache, "MAX_KEPT", 5)
    for n in range(12):
        web.get("/genres", ("origin", f"https://{n}.example"))
        assert len(web.cache._kept) <= 5


def test_nothing_is_sent_again_while_the_database_is_away(web: Web) -> None:
    web.get("/genres")
    current = catalogue.current()
    catalogue._catalogue._value = catalogue.Catalogue(current.snapshot, stale=True)
    answers = [web.get("/genres") for _ in range(2)]
    assert [answer.is_repeated for answer in answers] == [False, False]
    catalogue.forget()
