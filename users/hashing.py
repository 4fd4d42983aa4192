"""Hashes of passwords, a few at a time."""

from __future__ import annotations

from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher

#: Of one process.
AT_ONCE = 2

_turns = BoundedSemaphore(AT_ONCE)


class Argon2(Argon2PasswordHasher):
    """Django's, whose hash takes 100 MB and all cores for a tenth of a second.

    More at once would gain nothing (0029) and could take all the memory of a small server: whoever
    comes next waits for a turn.
    """

    def encode(self, password: str, salt: str) -> str:
        with _turns:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turns:
            return super().verify(password, encoded)
