"""HEAD and OPTIONS on every address, and bodies whose length is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.test import Client as Browser
from django.urls import URLPattern, URLResolver, get_resolver

from tests.builders import Client, make_movie, make_user

pytestmark = pytest.mark.django_db

PARAMETER = re.compile("<([a-z]+:)?[^>]+>")
READABLE = [
    "/",
    "/account/verify-email",
    "/account/reset-password",
    "/admin/login/",
    "/health/live",
    "/health/ready",
    "/api/docs",
    "/api/v1/docs",
    "/api/v1/redoc",
    "/api/v1/openapi.json",
    "/api/v1/movies",
    "/api/v1/movies?page=2",
    "/api/v1/programme",
    "/api/v1/programme.ics",
    "/api/v1/nothing",
    "/api/v1/users/me",
    "/graphql?query={__typename}",
    "/media/trailers/nothing.mp4",
    "/static/cinema/icon.svg",
]


def addresses(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Each route, with a value in the place of its parameters."""
    for pattern in resolver.url_patterns:
        path = before + PARAMETER.sub(
            lambda found: str(UUID(int=1)) if (found[1] or "").startswith("uuid") else "1",
            str(pattern.pattern),
        )
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, path)
        elif isinstance(pattern, URLPattern) and "^" not in path and "$" not in path:
            yield path


@pytest.mark.parametrize("path", READABLE)
def test_head_is_get_without_the_body(client: Browser, path: str) -> None:
    get = client.get(path)
    if get.streaming:
        get.getvalue()
    head = client.head(path)
    assert head.status_code == get.status_code
    assert (head.getvalue() if head.streaming else head.content) == b""
    changing = {"X-Request-ID", "Content-Security-Policy", "Expires"}
    if "Content-Length" not in get.headers:  # the web server adds it
        changing.add("Content-Length")
    if path in ("/health/ready", "/admin/login/"):  # times and a token of the form
        changing |= {"ETag", "Content-Length"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


def test_head_and_get_agree_for_a_viewer() -> None:
    client = Client(make_user())
    for path in ("/users/me", "/users/me/favourites", "/recommendations"):
        assert client.send("HEAD", path).status_code == client.get(path).status_code == 200


def test_head_is_revalidated_as_get_is(client: Browser) -> None:
    etag = client.head("/api/v1/programme")["ETag"]
    assert client.head("/api/v1/programme", headers={"If-None-Match": etag}).status_code == 304


def test_head_does_not_look_at_ranges(client: Browser) -> None:
    head = client.head("/static/cinema/icon.svg", headers={"Range": "bytes=0-1"})
    assert (head.status_code, head["Content-Length"], head.getvalue()) == (200, "161", b"")


def test_head_where_there_is_no_get_names_the_methods(client: Browser) -> None:
    answer = client.head("/api/v1/auth/login")
    assert (answer.status_code, answer["Allow"]) == (405, "OPTIONS, POST")


def test_every_address_says_what_it_allows(client: Browser) -> None:
    found = sorted(set(addresses(get_resolver())))
    assert len(found) > 150
    for path in found:
        if path == "/api/v1/":  # Ninja's, which is there for its name
            continue
        answer = client.options(path)
        assert answer.status_code == 204, path
        allowed = answer["Allow"].split(", ")
        assert "OPTIONS" in allowed, path
        assert ("HEAD" in allowed) == ("GET" in allowed), path


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/movies", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/auth/login", "OPTIONS, POST"),
        ("/api/v1/programme.ics", "GET, HEAD, OPTIONS"),
        ("/graphql", "GET, HEAD, OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/static/cinema/icon.svg", "GET, HEAD, OPTIONS"),
        ("/media/trailers/x.mp4", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_names_the_methods(client: Browser, path: str, allowed: str) -> None:
    answer = client.options(path)
    assert (answer.status_code, answer["Allow"]) == (204, allowed)


def test_options_of_nothing_is_404(client: Browser) -> None:
    assert client.options("/api/v1/nothing").status_code == 404


def test_a_refused_method_names_the_allowed_ones(client: Browser) -> None:
    answer = client.delete("/api/v1/programme")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_body_without_a_length_is_never_read_as_empty() -> None:
    """The web server reads chunks (test_slow_clients); here nothing can, so it is refused."""
    movie = make_movie()
    client = Client(make_user(is_staff=True))
    answer = client.send(
        "PUT", f"/movies/{movie.pk}", {"name": "x"}, headers={"Transfer-Encoding": "chunked"}
    )
    assert answer.status_code == 411
    assert answer["Content-Type"] == "application/problem+json"
