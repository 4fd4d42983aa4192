"""Refresh tokens: spent on use, forgiven for a moment, and the end of the session after that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.tokens import PASSWORD, refresh, sign_in, status_of
from users import sessions, tokens
from users.models import RefreshToken, Session, User
from users.tokens import hash_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> dict[str, str]:
    """The tokens of a viewer who has just signed in."""
    return sign_in(make_user(password=PASSWORD))


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than the product's grace between two requests."""
    monkeypatch.setattr(sessions, "REFRESH_GRACE", timedelta(minutes=5))


@contextmanager
def later(seconds: float) -> Iterator[None]:
    with time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=False):
        yield


def test_a_refresh_token_is_spent_for_a_new_pair(pair: dict[str, str]) -> None:
    seen = {pair["refresh"]}
    for _ in range(3):
        answer = refresh(pair["refresh"])
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        pair = answer.json()
        assert pair.keys() == {"access", "refresh", "token_type", "expires_in"}
        assert status_of(pair["access"]) == 200
        seen.add(pair["refresh"])
    assert len(seen) == 4
    assert Session.objects.count() == 1


def test_each_use_prolongs_the_session(pair: dict[str, str]) -> None:
    lifetime = tokens.REFRESH_TOKEN_LIFETIME
    assert lifetime == timedelta(days=14)
    with later(lifetime.total_seconds() - 60):
        pair = refresh(pair["refresh"]).json()
        session = Session.objects.get()
        assert session.last_used_at == timezone.now()
        assert session.expires_at == timezone.now() + lifetime
    with later(2 * lifetime.total_seconds()):
        assert refresh(pair["refresh"]).status_code == 401


def test_no_session_outlasts_its_lifetime_however_often_it_is_refreshed(
    pair: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "SESSION_LIFETIME", timedelta(days=30))
    end = Session.objects.get().created_at + timedelta(days=30)
    for day in (13, 26):
        with later(day * 86400):
            pair = refresh(pair["refresh"]).json()
    session, newest = Session.objects.get(), RefreshToken.objects.latest("pk")
    assert session.expires_at == newest.expires_at == end
    with later(30 * 86400 - 60):
        newer = refresh(pair["refresh"]).json()
        assert status_of(newer["access"]) == 200
    with later(30 * 86400 + 60):
        assert status_of(newer["access"]) == 401
        assert refresh(newer["refresh"]).status_code == 401


def test_an_expired_refresh_token_is_refused(pair: dict[str, str]) -> None:
    with later(tokens.REFRESH_TOKEN_LIFETIME.total_seconds() + 1):
        assert refresh(pair["refresh"]).status_code == 401
    RefreshToken.objects.update(expires_at=timezone.now())
    assert refresh(pair["refresh"]).status_code == 401


@pytest.mark.parametrize("token", ["", "\x00nonsense", "x" * 1000, "ключ", "' OR 1=1 --"])
def test_an_unknown_refresh_token_is_refused(pair: dict[str, str], token: str) -> None:
    assert refresh(token).status_code == 401


@pytest.mark.parametrize(
    "payload",
    [{}, {"refresh": None}, {"refresh": 7}, {"refresh": ["x"]}, {"refresh": "x" * 1001},
     {"refresh": "x", "and": 1}, [], "x", None],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_malformed_bodies_are_422(anonymous: Client, path: str, payload: Any) -> None:
    assert anonymous.post(path, payload).status_code == 422


def test_neither_a_token_nor_its_successor_is_stored(pair: dict[str, str]) -> None:
    second = refresh(pair["refresh"]).json()
    rows = str([*RefreshToken.objects.values(), *Session.objects.values()])
    for token in (pair["refresh"], second["refresh"]):
        assert token not in rows
        hashes = RefreshToken.objects.filter(token_hash=hash_token(token))
        assert hashes.count() == 1
    assert len(second["refresh"]) == 43  # 256 bits


def test_the_table_without_the_secret_gives_no_successor(
    pair: dict[str, str], settings: Any
) -> None:
    second = refresh(pair["refresh"]).json()
    salt = bytes(RefreshToken.objects.get(spent_at__isnull=False).successor_salt or b"")
    assert tokens.successors(pair["refresh"], salt) == [second["refresh"]]
    settings.SECRET_KEY = "another secret"
    assert tokens.successors(pair["refresh"], salt) != [second["refresh"]]


# --- the same token once more


@pytest.mark.usefixtures("long_grace")
def test_for_a_moment_a_spent_token_is_answered_with_the_same_successor(
    pair: dict[str, str],
) -> None:
    second = refresh(pair["refresh"]).json()
    with later(sessions.REFRESH_GRACE.total_seconds() - 60):
        again = refresh(pair["refresh"]).json()
        assert status_of(again["access"]) == status_of(second["access"]) == 200
    assert again["refresh"] == second["refresh"]
    assert again["access"] != second["access"]
    assert RefreshToken.objects.count() == 2
    assert refresh(again["refresh"]).status_code == 200


def ended(pair: dict[str, str]) -> bool:
    """Whether the session of these tokens is over, for all of its tokens."""
    is_revoked = Session.objects.get().revoked_at is not None
    assert (status_of(pair["access"]) == 401) is is_revoked
    return is_revoked


def test_a_second_refresh_after_the_grace_period_ends_the_session(
    pair: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    second = refresh(pair["refresh"]).json()
    caplog.set_level(logging.WARNING)
    with later(sessions.REFRESH_GRACE.total_seconds() + 1):
        assert refresh(pair["refresh"]).status_code == 401
        assert ended(second)
        assert refresh(second["refresh"]).status_code == 401
    assert "a spent refresh token was used again" in caplog.text
    assert pair["refresh"] not in caplog.text


def test_once_the_successor_is_spent_it_ends_the_session_at_once(pair: dict[str, str]) -> None:
    second = refresh(pair["refresh"]).json()
    third = refresh(second["refresh"]).json()
    assert refresh(pair["refresh"]).status_code == 401
    assert ended(third)
    assert refresh(third["refresh"]).status_code == 401


def test_without_a_grace_the_second_use_ends_the_session(
    pair: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "REFRESH_GRACE", timedelta())
    second = refresh(pair["refresh"]).json()
    assert refresh(pair["refresh"]).status_code == 401
    assert ended(second)


def test_the_sessions_of_other_devices_go_on() -> None:
    viewer = make_user(password=PASSWORD)
    other, pair = sign_in(viewer), sign_in(viewer)
    refresh(refresh(pair["refresh"]).json()["refresh"])
    assert refresh(pair["refresh"]).status_code == 401
    assert status_of(other["access"]) == 200
    assert refresh(other["refresh"]).status_code == 200


@pytest.mark.usefixtures("long_grace")
def test_the_successor_is_the_same_while_the_secret_changes(
    pair: dict[str, str], settings: Any
) -> None:
    second = refresh(pair["refresh"]).json()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next one", [settings.SECRET_KEY]
    assert refresh(pair["refresh"]).json()["refresh"] == second["refresh"]
    assert refresh(second["refresh"]).status_code == 200


def test_a_refused_unspent_token_does_not_end_the_session(pair: dict[str, str]) -> None:
    User.objects.update(is_active=False)
    assert refresh(pair["refresh"]).status_code == 401
    User.objects.update(is_active=True)
    assert refresh(pair["refresh"]).status_code == 200


# --- how much it costs


def test_a_refresh_takes_the_same_few_queries_however_long_the_session_lasts(
    pair: dict[str, str], django_assert_num_queries: Any
) -> None:
    for _ in range(4):
        # Transaction, session, token; both written; the successor; the end of the transaction.
        with django_assert_num_queries(7):
            pair = refresh(pair["refresh"]).json()


# --- at once


@pytest.mark.usefixtures("long_grace")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_simultaneous_refreshes_return_one_successor(
    attempt: int,
) -> None:
    viewer = make_user(password=PASSWORD)
    pair = sign_in(viewer)
    answers = at_once([partial(refresh, pair["refresh"])] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    [successor] = {answer.json()["refresh"] for answer in answers}
    assert RefreshToken.objects.filter(spent_at=None).count() == 1
    assert RefreshToken.objects.count() == 2
    assert {status_of(answer.json()["access"]) for answer in answers} == {200}
    assert refresh(successor).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_without_a_grace_period_one_of_simultaneous_refreshes_succeeds_and_the_session_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "REFRESH_GRACE", timedelta())
    pair = sign_in(make_user(password=PASSWORD))
    statuses = [a.status_code for a in at_once([partial(refresh, pair["refresh"])] * 4)]
    assert sorted(statuses) == [200, 401, 401, 401]
    assert Session.objects.get().revoked_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_a_refresh_that_meets_a_logout_leaves_nobody_signed_in(attempt: int) -> None:
    pair = sign_in(make_user(password=PASSWORD))
    logout = partial(Client().post, "/auth/logout", {"refresh": pair["refresh"]})
    refreshed, signed_out = at_once([partial(refresh, pair["refresh"]), logout])
    assert signed_out.status_code == 204
    assert refreshed.status_code in (200, 401)
    if refreshed.status_code == 200:
        assert status_of(refreshed.json()["access"]) == 401
    assert refresh(pair["refresh"]).status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_a_refresh_that_meets_a_new_password_leaves_nobody_signed_in(attempt: int) -> None:
    viewer = make_user(password=PASSWORD)
    pair = sign_in(viewer)

    def change_password() -> None:
        viewer.set_password("something else")
        viewer.save(update_fields=["password"])

    both: list[Callable[[], object]] = [partial(refresh, pair["refresh"]), change_password]
    at_once(both)
    assert not Session.objects.filter(revoked_at=None).exists()


def test_the_row_of_a_token_says_when_it_was_spent(pair: dict[str, str]) -> None:
    refresh(pair["refresh"])
    spent, successor = RefreshToken.objects.order_by("pk")
    assert isinstance(spent.spent_at, datetime)
    assert (successor.spent_at, successor.successor_salt) == (None, None)
