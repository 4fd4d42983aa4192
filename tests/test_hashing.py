"""Hashing of passwords does not take all the memory that there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from argon2.exceptions import InvalidHashError
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.db import connection, transaction
from django.test import Client as Browser

from cinema.throttling import lockout
from tests.builders import Client, make_user
from tests.concurrency import at_once
from users.models import MailedToken, User
from users.passwords import AT_ONCE, WAITING, Argon2, _places
from users.tokens import issue_mailed_token

pytestmark = pytest.mark.usefixtures("product_hasher")

PASSWORD = "cleo from 5 to 7"


def test_only_a_few_hashes_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way: list[int] = []
    counting, now = threading.Lock(), [0]
    encode = Argon2PasswordHasher.encode

    def count_and_encode(self: Argon2PasswordHasher, password: str, salt: str) -> str:
        with counting:
            now[0] += 1
            under_way.append(now[0])
        try:
            return encode(self, password, salt)
        finally:
            with counting:
                now[0] -= 1

    monkeypatch.setattr(Argon2PasswordHasher, "encode", count_and_encode)
    hashes = at_once([partial(make_password, PASSWORD)] * 6)
    assert len(set(hashes)) == 6
    assert max(under_way) <= AT_ONCE
    assert all(at_once([partial(check_password, PASSWORD, each) for each in hashes]))


def test_an_invalid_hash_releases_its_place() -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(InvalidHashError):
            check_password(PASSWORD, "argon2$argon2id$v=19$m=1,t=1,p=1$nonsense")


#: Requests of a@example.com whose password is checked or hashed.
WITH_PASSWORD = [
    ("POST", "/auth/login", {"email": "a@example.com", "password": PASSWORD}),
    ("POST", "/auth/register", {"email": "new@example.com", "password": PASSWORD}),
    ("POST", "/users/me/password", {"current": PASSWORD, "new": "jules et jim 1962"}),
    ("PATCH", "/users/me", {"email": "b@example.com", "password": PASSWORD}),
    ("DELETE", "/users/me", {"password": PASSWORD}),
]


@contextmanager
def no_place_left() -> Iterator[None]:
    """Take all places of passwords that are checked."""
    taken = 0
    while _places.acquire(blocking=False):
        taken += 1
    try:
        assert taken == AT_ONCE + WAITING
        yield
    finally:
        for _ in range(taken):
            _places.release()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "payload"),
    [
        *WITH_PASSWORD,
        ("POST", "/auth/login", {"email": "unknown@example.com", "password": PASSWORD}),
    ],
)
def test_a_password_check_without_a_free_place_is_refused(
    method: str, path: str, payload: dict[str, str]
) -> None:
    user = make_user(email="a@example.com", password=PASSWORD)
    with no_place_left():
        answer = Client(user).send(method, path, payload)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2"), answer.content
    assert User.objects.get().email == "a@example.com"


@pytest.mark.django_db
def test_a_reset_refused_without_a_free_place_keeps_its_link() -> None:
    user = make_user(email="a@example.com", password=PASSWORD)
    token = issue_mailed_token(user, MailedToken.Purpose.RESET_PASSWORD)
    payload = {"token": token, "password": "jules et jim 1962"}
    with no_place_left():
        answer = Client().send("POST", "/auth/password/reset", payload)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2"), answer.content
    assert Client().send("POST", "/auth/password/reset", payload).status_code == 204


@pytest.mark.django_db
def test_a_refused_sign_in_of_the_admin_counts_as_no_guess() -> None:
    make_user(email="a@example.com", password=PASSWORD, is_staff=True)
    browser = Browser()
    given = {"username": "a@example.com", "password": PASSWORD}
    with no_place_left():
        for _ in range(lockout.ATTEMPTS + 1):
            answer = browser.post("/admin/login/", given)
            assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert browser.post("/admin/login/", given).status_code == 302


# --- no connection is held meanwhile


@pytest.fixture
def hashed_in(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each hash that is computed, whether a transaction was open."""
    seen: list[bool] = []
    verify, encode = Argon2.verify, Argon2.encode

    def seen_verify(self: Argon2, password: str, encoded: str) -> bool:
        seen.append(connection.in_atomic_block)
        return verify(self, password, encoded)

    def seen_encode(self: Argon2, password: str, salt: str) -> str:
        seen.append(connection.in_atomic_block)
        return encode(self, password, salt)

    monkeypatch.setattr(Argon2, "verify", seen_verify)
    monkeypatch.setattr(Argon2, "encode", seen_encode)
    return seen


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "path", "payload"), WITH_PASSWORD)
def test_no_password_is_hashed_in_a_transaction(
    method: str, path: str, payload: dict[str, str], hashed_in: list[bool]
) -> None:
    user = make_user(email="a@example.com", password=PASSWORD)
    hashed_in.clear()
    answer = Client(user).send(method, path, payload)
    assert answer.status_code in (200, 201, 204), answer.content
    assert hashed_in
    assert not any(hashed_in)


@pytest.mark.django_db(transaction=True)
def test_a_new_password_by_a_mailed_link_is_not_hashed_in_a_transaction(
    hashed_in: list[bool],
) -> None:
    user = make_user(email="a@example.com", password=PASSWORD)
    with transaction.atomic():
        token = issue_mailed_token(user, MailedToken.Purpose.RESET_PASSWORD)
    hashed_in.clear()
    payload = {"token": token, "password": "jules et jim 1962"}
    assert Client().send("POST", "/auth/password/reset", payload).status_code == 204
    assert hashed_in == [False]
    assert User.objects.get().check_password("jules et jim 1962")


def changed_during_the_check(monkeypatch: pytest.MonkeyPatch, new: str) -> None:
    """Another device changes the password while this request still checks the old one."""
    verify, hashed = Argon2.verify, make_password(new)

    def verify_and_change(self: Argon2, password: str, encoded: str) -> bool:
        found = verify(self, password, encoded)
        User.objects.update(password=hashed)
        return found

    monkeypatch.setattr(Argon2, "verify", verify_and_change)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("method", "path", "payload", "field"),
    [
        ("POST", "/users/me/password", {"current": PASSWORD, "new": "zazie 1960!"}, "current"),
        ("PATCH", "/users/me", {"email": "b@example.com", "password": PASSWORD}, "password"),
    ],
)
def test_a_password_that_changes_during_its_check_is_refused(
    method: str,
    path: str,
    payload: dict[str, str],
    field: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(make_user(email="a@example.com", password=PASSWORD))
    with monkeypatch.context() as meanwhile:
        changed_during_the_check(meanwhile, "jules et jim 1962")
        # The trigger ends this session, but not a request that was let in before.
        answer = client.send(method, path, payload)
    assert answer.status_code == 422, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [f"body.{field}"]
    user = User.objects.get()
    assert user.email == "a@example.com"
    assert user.check_password("jules et jim 1962")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("new", "status"), [(PASSWORD, 200), ("jules et jim 1962", 401)])
def test_a_sign_in_checks_a_hash_that_changed_meanwhile_again(
    new: str, status: int, hashed_in: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same password may have been hashed anew by another sign-in."""
    make_user(email="a@example.com", password=PASSWORD)
    changed_during_the_check(monkeypatch, new)
    hashed_in.clear()
    credentials = {"email": "a@example.com", "password": PASSWORD}
    assert Client().post("/auth/login", credentials).status_code == status
    assert hashed_in == [False, False]
