"""Hashes: of tokens, and of passwords, a few at a time."""

from __future__ import annotations

import hashlib
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


def hash_token(token: str) -> bytes:
    """SHA-256 is enough: a token is 256 random bits, which nobody can guess from its hash."""
    return hashlib.sha256(token_bytes(token)).digest()


def token_bytes(token: str) -> bytes:
    """Whatever a client sends for one."""
    return token.encode("utf-8", "surrogatepass")
