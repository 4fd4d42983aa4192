"""Hashes: of tokens, and of passwords, a few at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from users.errors import TooManyPasswords

#: Of one process.
AT_ONCE = 2
#: Threads that may wait for a turn. The other threads of the web stay free for other requests.
WAITING = max(1, settings.WEB_THREADS // 2)

_turns = BoundedSemaphore(AT_ONCE)
_places = BoundedSemaphore(AT_ONCE + WAITING)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for one of `AT_ONCE` turns.

    Raises:
        TooManyPasswords: `WAITING` threads wait already.
    """
    if not _places.acquire(blocking=False):
        raise TooManyPasswords
    try:
        with _turns:
            yield
    finally:
        _places.release()


class Argon2(Argon2PasswordHasher):
    """Django's hasher, with a bounded queue: a hash takes 100 MB and all cores for a tenth of a
    second, so more at once would gain nothing (0029) and could take all memory of a small server.
    """

    def encode(self, password: str, salt: str) -> str:
        with _turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turn():
            return super().verify(password, encoded)


def hash_token(token: str) -> bytes:
    """SHA-256 is enough: a token is 256 random bits, which nobody can guess from its hash."""
    return hashlib.sha256(token_bytes(token)).digest()


def token_bytes(token: str) -> bytes:
    """Whatever a client sends for one."""
    return token.encode("utf-8", "surrogatepass")
