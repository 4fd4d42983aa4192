"""Which pages of other sites may use the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client as Browser

from cinema.variables import origins, read
from tests.builders import Client, make_user

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

OURS, OTHER = "https://www.cinema.example", "https://other.example"
ALLOWED = "Access-Control-Allow-Origin"


def preflight(origin: str, method: str, path: str = "/api/v1/movies") -> Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return Browser().options(path, headers=headers)


def test_every_site_reads_what_is_public(settings: Settings) -> None:
    assert {"*"} == settings.CORS_ALLOWED_ORIGINS
    for path in ("/api/v1/movies", "/api/v1/programme.ics", "/graphql?query={__typename}"):
        answer = Browser().get(path, headers={"Origin": OTHER})
        assert answer[ALLOWED] == "*", path
        assert "ETag" in answer["Access-Control-Expose-Headers"]
        # The same response without an Origin: a cache may hand it to a page.
        assert Browser().get(path)[ALLOWED] == "*"
        assert "Origin" not in answer.headers.get("Vary", "")
    asked = preflight(OTHER, "GET")
    assert (asked.status_code, asked[ALLOWED]) == (204, "*")
    assert asked["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "authorization" not in asked["Access-Control-Allow-Headers"].lower()


def test_another_site_can_read_an_error() -> None:
    assert Browser().get("/api/v1/movies/0", headers={"Origin": OTHER})[ALLOWED] == "*"


def test_only_named_sites_read_responses_for_viewers(settings: Settings) -> None:
    client = Client(make_user())
    assert ALLOWED not in client.send("GET", "/users/me", headers={"Origin": OTHER})
    settings.CORS_ALLOWED_ORIGINS = frozenset({"*", OURS})
    assert ALLOWED not in client.send("GET", "/users/me", headers={"Origin": OTHER})
    answer = client.send("GET", "/users/me", headers={"Origin": OURS})
    assert answer[ALLOWED] == OURS
    assert "Origin" in answer["Vary"]


def test_no_site_writes_unless_it_is_named(settings: Settings) -> None:
    answer = Browser().post("/api/v1/auth/login", {}, headers={"Origin": OTHER})
    assert ALLOWED not in answer
    assert "POST" not in preflight(OTHER, "POST")["Access-Control-Allow-Methods"]
    settings.CORS_ALLOWED_ORIGINS = frozenset({OURS})
    asked = preflight(OURS, "POST")
    assert asked[ALLOWED] == OURS
    assert "POST" in asked["Access-Control-Allow-Methods"]
    assert "Authorization" in asked["Access-Control-Allow-Headers"]
    assert "Origin" in asked["Vary"]


def test_with_named_sites_alone_others_read_nothing(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = frozenset({OURS})
    answer = Browser().get("/api/v1/movies", headers={"Origin": OTHER})
    assert ALLOWED not in answer
    assert "Origin" in answer["Vary"]
    assert ALLOWED not in preflight(OTHER, "GET")
    assert Browser().get("/api/v1/movies", headers={"Origin": OURS})[ALLOWED] == OURS


@pytest.mark.parametrize("origin", [OURS, OTHER, "null"])
@pytest.mark.parametrize("path", ["/api/v1/movies", "/admin/login/", "/account/reset-password"])
def test_credentials_are_never_allowed(settings: Settings, origin: str, path: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = frozenset({"*", OURS})
    for answer in (
        Browser().get(path, headers={"Origin": origin}),
        preflight(origin, "GET", path),
    ):
        assert "Access-Control-Allow-Credentials" not in answer
        assert (ALLOWED in answer) == path.startswith("/api/")


@pytest.mark.parametrize(
    "value",
    ["https://a.example/", "a.example", "https://a.example/path", "null", "ftp://a.example"],
)
def test_an_invalid_origin_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", value)
    with pytest.raises(ImproperlyConfigured, match="CORS_ALLOWED_ORIGINS"):
        read("CORS_ALLOWED_ORIGINS", origins, "*")


def test_origins_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", f"*, {OURS}, http://localhost:3000")
    found = read("CORS_ALLOWED_ORIGINS", origins, "*")
    assert found == {"*", OURS, "http://localhost:3000"}
