"""Hashing of passwords does not take all the memory that there is."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from argon2.exceptions import InvalidHashError
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password

from tests.concurrency import at_once
from users.hashing import AT_ONCE

pytestmark = pytest.mark.usefixtures("product_hasher")

PASSWORD = "cleo from 5 to 7"


def test_of_many_at_once_a_few_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_hash_that_cannot_be_read_gives_its_turn_back() -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(InvalidHashError):
            check_password(PASSWORD, "argon2$argon2id$v=19$m=1,t=1,p=1$nonsense")
