"""The keys of tokens, derived from SECRET_KEY and from those of SECRET_KEY_FALLBACKS."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings


@dataclass(frozen=True)
class Key:
    """What is made of one secret: each part for one use, and none tells of another.

    Attributes:
        id: Not secret: `kid` in the head of a token.
    """

    id: str
    signing: bytes
    succession: bytes


def newest_key() -> Key:
    """The one that signs."""
    return _derived(settings.SECRET_KEY)


def all_keys() -> list[Key]:
    """Those that count, the newest first."""
    return [_derived(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def key_of(kid: object) -> Key | None:
    return next((key for key in all_keys() if key.id == kid), None)


@lru_cache(maxsize=16)
def _derived(secret: str) -> Key:
    def part(purpose: str) -> bytes:
        return hmac.digest(secret.encode(), f"cinema {purpose}".encode(), "sha256")

    return Key(part("key id")[:8].hex(), part("access token"), part("refresh token"))
