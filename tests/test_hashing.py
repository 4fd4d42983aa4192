"""Hashing of passwords does not take all the memory that there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from argon2.exceptions import InvalidHashError
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.test import Client as Browser

from cinema.throttling import lockout
from tests.builders import Client, make_user
from tests.concurrency import at_once
from users.models import MailedToken, User
from users.passwords import AT_ONCE, WAITING, _places
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
        ("POST", "/auth/login", {"email": "a@example.com", "password": PASSWORD}),
        ("POST", "/auth/login", {"email": "unknown@example.com", "password": PASSWORD}),
        ("POST", "/auth/register", {"email": "new@example.com", "password": PASSWORD}),
        ("POST", "/users/me/password", {"current": PASSWORD, "new": "jules et jim 1962"}),
        ("PATCH", "/users/me", {"email": "b@example.com", "password": PASSWORD}),
        ("DELETE", "/users/me", {"password": PASSWORD}),
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
