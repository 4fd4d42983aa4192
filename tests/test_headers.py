"""The headers of every response; and the cookies, which only the admin site has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.test import Client as Browser
from django.urls import get_resolver

from tests.builders import Client, make_user
from tests.test_settings import start

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

PATHS = {
    "/": 200,
    "/api/v1/movies": 200,
    "/api/v1/docs": 200,
    "/api/v1/openapi.json": 200,
    "/api/v1/users/me": 401,
    "/api/v1/recommendations/onboarding": 401,
    "/api/v1/nothing": 404,
    "/health/live": 200,
    "/admin/login/": 200,
    "/account/reset-password": 200,
    "/static/cinema/icon.svg": 200,
}


@pytest.fixture(autouse=True)
def _static_files_as_in_production(settings: Settings) -> None:
    settings.WHITENOISE_AUTOREFRESH = False


def got(client: Browser, path: str, **headers: str) -> Response:
    answer = client.get(path, headers=headers)
    if answer.streaming:
        answer.getvalue()  # which closes the file
    return answer


@pytest.mark.parametrize(("path", "status"), PATHS.items())
def test_headers_forbid_sniffing_referrers_and_framing(
    client: Browser, path: str, status: int
) -> None:
    answer = got(client, path)
    assert answer.status_code == status
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    if not path.startswith("/static/"):
        assert answer["X-Frame-Options"] == "DENY"


HTML = ["/", "/api/v1/docs", "/api/v1/redoc", "/account/reset-password", "/account/verify-email",
        "/admin/login/", "/admin/", "/admin/movies/movie/", "/admin/movies/movie/add/",
        "/admin/movies/screening/", "/admin/users/user/", "/admin/password_change/"]  # fmt: skip


@pytest.mark.parametrize("path", HTML)
def test_no_page_runs_a_script_that_is_not_a_file_of_ours(client: Browser, path: str) -> None:
    boss = make_user(is_staff=True, is_superuser=True)
    if path != "/admin/login/":
        client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(path)
    assert answer.status_code == 200
    policy = dict(each.split(" ", 1) for each in answer["Content-Security-Policy"].split("; "))
    scripts = policy.get("script-src", policy["default-src"]).split()
    assert set(scripts) <= {"'self'", *(["'unsafe-eval'"] if path.startswith("/admin/") else [])}
    assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert "camera=()" in answer["Permissions-Policy"]
    # A page with an inline script or handler would be broken by the policy.
    page = answer.content.decode()
    for tag in re.findall(r"<script[^>]*>", page):
        assert "src=" in tag or "application/" in tag, tag
    assert not re.search(r"\son(click|load|change|submit|error)=|javascript:", page)


def test_a_missing_page_has_a_policy_too(client: Browser) -> None:
    assert "default-src" in client.get("/nothing")["Content-Security-Policy"]
    assert "default-src" in client.get("/admin/nothing/", follow=True)["Content-Security-Policy"]


def test_behind_a_tls_proxy_browsers_use_tls_alone(tmp_path: Path) -> None:
    shown = "s.SECURE_HSTS_SECONDS"
    assert start(tmp_path, shown, BEHIND_TLS_PROXY="true").stdout.strip() == "31536000"
    assert start(tmp_path, shown).stdout.strip() == "0"


def test_the_api_takes_and_gives_no_cookies(client: Browser) -> None:
    user = make_user(email="agnes@example.org", password="cleo from 5 to 7", is_staff=True)
    who = {"email": "agnes@example.org", "password": "cleo from 5 to 7"}
    signed_in = client.post("/api/v1/auth/login", who, content_type="application/json")
    assert (signed_in.status_code, dict(signed_in.cookies)) == (200, {})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/v1/users/me").status_code == 401
    query = {"query": "{ viewer { id } }"}
    answer = client.post("/graphql", query, content_type="application/json").json()
    assert (answer.get("data") or {}).get("viewer") is None


def test_the_cookies_of_the_admin_site_are_for_it_alone(
    client: Browser, settings: Settings
) -> None:
    make_user(email="boss@example.org", password="projector room", is_staff=True)
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True  # as BEHIND_TLS_PROXY does
    client.get("/admin/login/", secure=True)
    who = {"username": "boss@example.org", "password": "projector room"}
    answer = client.post("/admin/login/?next=/admin/", who, secure=True)
    assert answer.status_code == 302
    session = answer.cookies["sessionid"]
    assert (session["httponly"], session["samesite"], session["secure"]) == (True, "Lax", True)
    assert answer.cookies["csrftoken"]["secure"]


def test_the_admin_site_refuses_what_another_site_sends() -> None:
    browser = Browser(enforce_csrf_checks=True)
    boss = make_user(is_staff=True, is_superuser=True)
    browser.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    path = f"/admin/users/user/{boss.pk}/delete/"
    assert browser.post(path, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "a b"])
def test_a_host_that_is_not_ours_is_refused(client: Browser, host: str) -> None:
    assert client.get("/api/v1/movies", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "GET\r\nX: y"])
def test_other_methods_do_nothing(anonymous: Client, method: str) -> None:
    assert anonymous.send(method, "/movies").status_code == 405


def test_errors_tell_nothing_of_the_inside(anonymous: Client) -> None:
    for path in ("/movies/' OR 1=1", "/../settings.py", "/movies/1%00", "/auth/login"):
        text = anonymous.get(path).content.decode()
        assert not [word for word in ("Traceback", "SELECT", "psycopg", "/work/") if word in text]


def test_every_address_is_known() -> None:
    """The known routes are all that answer: no package adds one unseen (OWASP API9)."""
    known = {str(pattern.pattern) for pattern in get_resolver().url_patterns}
    assert known <= {
        "", "health", "health/live", "health/ready", "health/db", "api", "api/docs", "api/v1",
        "api/v1/redoc", "api/v1/", "api/v1/openapi.json", "graphql", "admin/",
        "admin/second-factor/", "media/<path:name>", "account/verify-email",
        "account/reset-password", "metrics",
    }  # fmt: skip
