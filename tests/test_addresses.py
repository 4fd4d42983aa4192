"""Addresses as people type them: with and without a trailing slash, and the short ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpRequest
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import URLResolver, get_resolver, resolve
from pytest_django.fixtures import Settings

from cinema.middleware import one_path
from movies.models import Movie
from tests.builders import Client, make_movie, make_screening, make_user
from tests.outages import database_refusing

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

LIST_ID = "5b0b5c1e-7d6b-4d1e-9d1c-0a3f6f0b8a11"
PASSWORD = "cleo from 5 to 7"


def routes(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    """Each route of the project, but for the last one of the admin, which takes all."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif "(?P" not in route:
            yield route


def seen(path: str) -> HttpRequest:
    """A POST to this address as the views see it."""
    request = RequestFactory().post(path)
    assert one_path(request) is None
    return request


@pytest.mark.parametrize("path", ["/api", "/api/docs", "/api/v1"])
@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_the_short_addresses_lead_to_the_documentation(
    client: Browser, path: str, slash: str
) -> None:
    answer = client.get(path + slash, follow=True)
    assert answer.redirect_chain == [("/api/v1/docs", 302)]
    assert answer.status_code == 200


def test_each_route_is_found_with_a_slash_and_without_one() -> None:
    found = set(routes(get_resolver().url_patterns)) - {"api/v1/"}  # which redirects as `api/v1`
    assert len(found) > 150
    for route in found:
        filled = re.sub("<(uuid)?[^>]*>", lambda found: LIST_ID if found[1] else "7", route)
        bare = "/" + filled.rstrip("/")
        for path in (bare, f"{bare}/", f"{bare}//"):
            request = seen(path)
            assert resolve(request.path_info).route == route, path
            assert request.path == request.path_info


@pytest.mark.parametrize("slash", ["/", "//"])
def test_reads_are_answered_alike(anonymous: Client, slash: str) -> None:
    movie = make_movie()
    make_screening(movie)
    for path in (
        f"/movies/{movie.pk}",
        f"/movies/by-slug/{movie.slug}",
        "/movies",
        "/programme",
        "/programme.ics",
        "/movies/feed.atom",
        "/openapi.json",
        "/health/live",
        "/account/verify-email",
    ):
        plain, typed = anonymous.get(path), anonymous.get(path + slash)
        assert (plain.status_code, typed.status_code) == (200, 200), path
        assert (typed.content, typed.get("ETag")) == (plain.content, plain.get("ETag")), path
        assert anonymous.send("HEAD", path).status_code == (
            anonymous.send("HEAD", path + slash).status_code
        )


def test_a_query_stays_with_its_slash(anonymous: Client) -> None:
    make_movie(name="Stalker", genres=["drama"])
    make_movie(name="Airplane!", genres=["comedy"])
    answer = anonymous.get("/movies/", genre="drama")
    assert [movie["name"] for movie in answer.json()["data"]] == ["Stalker"]


def test_writes_keep_their_body(staff: Client, viewer: Client) -> None:
    sent = {"name": "Stalker", "protagonists": ["Alisa Freindlich"], "start_date": "2026-12-03"}
    created = staff.post("/movies/", sent)
    assert created.status_code == 201
    path = f"/movies/{created.json()['id']}"
    assert staff.patch(f"{path}/", {"runtime_minutes": 162}).json()["runtime_minutes"] == 162
    assert viewer.put(f"{path}/rating/", {"stars": 4.5}).json()["stars"] == 4.5
    assert viewer.delete(f"{path}/rating/").status_code == 204
    assert staff.delete(f"{path}//").status_code == 204
    assert not Movie.objects.exists()
    answer = viewer.post("/graphql/", {"query": "{ movies { totalCount } }"})
    assert answer.json() == {"data": {"movies": {"totalCount": 0}}}


def test_an_unknown_path_is_404_with_and_without_a_slash(anonymous: Client) -> None:
    for path in ("/movies/99", "/nothing", "/movies//feed.atom", "/movies/x/y"):
        for slash in ("", "/"):
            answer = anonymous.get(path + slash)
            assert (answer.status_code, answer.json()["status"]) == (404, 404), path + slash


def test_an_encoded_slash_is_a_slash(anonymous: Client) -> None:
    movie = make_movie()
    assert anonymous.get(f"/movies/{movie.pk}%2F").status_code == 200
    assert anonymous.get(f"/movies%2F{movie.pk}").status_code == 200


def test_a_limit_counts_both_forms_together(anonymous: Client, settings: Settings) -> None:
    from cinema.throttling.counters import rate

    settings.THROTTLE_LOGIN = rate("2/h")
    sent = {"email": "agnes@example.org", "password": "wrong"}
    statuses = [
        anonymous.post(f"/auth/login{slash}", sent).status_code for slash in ("", "/", "//")
    ]
    assert statuses == [401, 401, 429]


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("/admin", "/admin/"),
        ("/admin//", "/admin/"),
        ("/admin?a=b&c=%2F", "/admin/?a=b&c=%2F"),
        ("/admin/movies/movie", "/admin/movies/movie/"),
        ("/admin/movies/movie///?q=x", "/admin/movies/movie/?q=x"),
        ("/admin/movies/movie/add", "/admin/movies/movie/add/"),
        ("/admin//evil.example", "/admin//evil.example/"),
        ("/admin/a%0D%0AX-Injected: 1", "/admin/a%0D%0AX-Injected:%201/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_of_the_admin_redirects_to_its_slash(
    client: Browser, typed: str, right: str, method: str
) -> None:
    answer = client.generic(method, typed)
    assert (answer.status_code, answer["Location"]) == (301, right)


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "//evil.example", "///evil.example//", "/\\evil.example/", "//", "/admin"],
)
def test_no_address_leads_to_another_site(client: Browser, path: str) -> None:
    answer = client.request(PATH_INFO=path, REQUEST_METHOD="GET")
    assert answer.status_code in (200, 301, 404)
    location = answer.get("Location", "/")
    assert location.startswith("/")
    assert location[1:2] not in ("/", "\\")


def sign_in(browser: Browser, path: str) -> Response:
    make_user(email="boss@example.org", password=PASSWORD, is_staff=True)
    return browser.post(path, {"username": "boss@example.org", "password": PASSWORD})


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/login", "/admin/login//"])
def test_signing_in_leads_to_the_admin(client: Browser, path: str) -> None:
    answer = sign_in(client, path)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


def test_signing_in_leads_back_to_the_page_that_asked_for_it(client: Browser) -> None:
    answer = sign_in(client, "/admin/login/?next=/admin/movies/movie/")
    assert answer["Location"] == "/admin/movies/movie/"


@pytest.mark.parametrize("outside", ["https://evil.example/", "//evil.example/"])
def test_signing_in_leads_to_no_other_site(client: Browser, outside: str) -> None:
    assert sign_in(client, f"/admin/login/?next={outside}")["Location"] == "/admin/"


def test_an_admin_form_without_the_slash_keeps_its_fields(client: Browser) -> None:
    movie = make_movie()
    boss = make_user(is_staff=True, is_superuser=True)
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(f"/admin/movies/movie/{movie.pk}/delete", {"post": "yes"})
    assert answer.status_code == 302
    assert not Movie.objects.exists()


@pytest.mark.parametrize("base", ["/health", "/api/v1/health"])
def test_health_is_below_the_base_path_and_without_it(
    client: Browser, settings: Settings, base: str
) -> None:
    settings.HEALTH_REQUIRED = ["database"]
    answers = {path: client.get(base + path) for path in ("", "/live", "/ready/", "/db", "/db/")}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["/live"].json() == {"status": "ok"}
    whole = answers["/ready/"].json()
    assert answers[""].json()["components"].keys() == whole["components"].keys()
    for path in ("/db", "/db/"):
        parts = answers[path].json()["components"]
        assert {name: part["state"] for name, part in parts.items()} == {"database": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/api/v1/health/live", "/api/v1/health/db"])
@pytest.mark.parametrize("token", ["", "Bearer of-no-use", "Basic Ym9zczpzZWNyZXQ="])
def test_health_is_told_to_everybody(client: Browser, path: str, token: str) -> None:
    assert client.get(path, headers={"Authorization": token}).status_code == 200


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_health_is_not_throttled(client: Browser, settings: Settings, base: str) -> None:
    from cinema.throttling.counters import rate

    settings.THROTTLE_ANONYMOUS = rate("1/h")
    assert {client.get(f"{base}/health/live").status_code for _ in range(3)} == {200}


@pytest.mark.django_db(transaction=True)
def test_the_databases_health_is_503_while_it_is_away(anonymous: Client) -> None:
    with database_refusing():
        answer = anonymous.get("/health/db")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/json")
    assert answer.json()["components"]["database"]["state"] == "away"
