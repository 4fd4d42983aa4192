"""Limits of single operations, by address and by account, exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine
from pytest_django.fixtures import Settings

from cinema.throttling import lockout
from cinema.throttling.counters import Rate
from tests.builders import Client
from tests.concurrency import at_once
from tests.throttling import NOON, assert_refused, get, login, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


def test_sign_ins_of_an_address_are_limited_whatever_the_account(
    settings: Settings, clock: time_machine.Traveller
) -> None:
    settings.THROTTLE_LOGIN = Rate(3, 60)
    for number in range(3):
        assert login(f"viewer-{number}@example.org").status_code == 401
    assert_refused(login(), 80)
    assert get().status_code == 200


def test_sign_ins_of_an_account_are_limited_whatever_the_address_and_spelling(
    settings: Settings,
) -> None:
    settings.NUM_PROXIES, settings.THROTTLE_LOGIN = 1, Rate(3, 60)
    spellings = ["nobody@example.org", "NOBODY@example.org", " nobody@Example.ORG "]
    answered = [login(email, at=f"192.0.2.{n}").status_code for n, email in enumerate(spellings)]
    assert answered == [401, 401, 401]
    assert login(at="192.0.2.9").status_code == 429


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'"x"', b'{"email": 7}', b'{"email": "\\ud800"}', b"\xff", b"[" * 999],
)
def test_a_sign_in_without_an_account_counts_for_the_address(
    settings: Settings, body: bytes
) -> None:
    settings.THROTTLE_LOGIN = Rate(2, 60)
    answered = [Client().send("POST", "/auth/login", body).status_code for _ in range(3)]
    assert answered == [422, 422, 429]


def test_limits_can_be_switched_off(settings: Settings) -> None:
    assert settings.THROTTLE_ANONYMOUS is None
    assert settings.THROTTLE_LOGIN is None
    assert {login().status_code for _ in range(5)} == {401}
    assert set(statuses(50)) == {200}


@pytest.mark.django_db(transaction=True)
def test_exactly_the_limit_of_simultaneous_requests_gets_through(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLE_LOGIN = Rate(5, 3600)
    monkeypatch.setattr(lockout, "ATTEMPTS", 1000)
    answered = at_once([lambda: login().status_code] * 16)
    assert sorted(answered) == [401] * 5 + [429] * 11


# --- which operations have limits of their own

LIMITED = {
    "/auth/login": "THROTTLE_LOGIN",
    "/auth/refresh": "THROTTLE_REFRESH",
    "/auth/register": "THROTTLE_REGISTER",
    "/auth/password/forgot": "THROTTLE_MAIL",
    "/auth/password/reset": "THROTTLE_LOGIN",
    "/auth/email/verification": "THROTTLE_MAIL",
    "/auth/email/verify": "THROTTLE_LOGIN",
    "/users/me/password": "THROTTLE_LOGIN",
    "PATCH /users/me": "THROTTLE_LOGIN",
    "DELETE /users/me": "THROTTLE_LOGIN",
    "GET /users/me/export": "THROTTLE_HEAVY",
    "/users/me/import": "THROTTLE_HEAVY",
    "GET /recommendations?refresh=true": "THROTTLE_HEAVY",
    "/playlists/1/copy": "THROTTLE_HEAVY",
    "/releases/train": "THROTTLE_HEAVY",
    "GET /analytics/audience-fit": "THROTTLE_HEAVY",
    "/movies/import": "THROTTLE_HEAVY",
    "PUT /movies/1/poster": "THROTTLE_UPLOAD",
    "PUT /movies/1/trailer": "THROTTLE_UPLOAD",
}


@pytest.mark.parametrize("operation", LIMITED)
def test_an_expensive_or_guessable_operation_has_a_tighter_limit(
    settings: Settings, staff: Client, operation: str
) -> None:
    method, _, path = operation.rpartition(" ")
    path, _, query = path.partition("?")
    setattr(settings, LIMITED[operation], Rate(1, 3600))

    def ask(caller: Client) -> int:
        parameters = dict([query.split("=")]) if query else None
        payload = {"email": "nobody@example.org"}
        answer = caller.send(method or "POST", path, payload, query=parameters)
        list(answer)  # an export ends its file with its last part
        return answer.status_code

    assert ask(staff) != 429
    assert ask(staff) == 429
    if path in ("/auth/refresh", "/auth/password/reset", "/auth/email/verify"):
        return  # they name no account
    settings.NUM_PROXIES = 1
    staff.headers["X-Forwarded-For"] = "192.0.2.1"  # elsewhere the account is still the same
    assert ask(staff) == 429


def test_recommendations_do_not_count_as_expensive(settings: Settings, viewer: Client) -> None:
    settings.THROTTLE_HEAVY = Rate(1, 3600)
    asked = [viewer.get("/recommendations").status_code for _ in range(3)]
    assert 429 not in asked


def test_a_new_address_counts_as_a_mail_however_the_body_is_written(
    settings: Settings, viewer: Client
) -> None:
    """Mail to strangers is not to be had by changing one's own address to theirs."""
    settings.THROTTLE_MAIL = Rate(1, 3600)
    assert [viewer.patch("/users/me", {"name": "A"}).status_code for _ in range(2)] == [200] * 2
    body = rb'{"\u0065mail": "%d@example.org", "password": "x"}'
    asked = [viewer.send("PATCH", "/users/me", body % n).status_code for n in range(2)]
    assert asked == [422, 429]
