"""Access tokens (JWT, RFC 7519) and refresh tokens (random, stored hashed)."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

import jwt
from django.conf import settings
from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from django.utils import timezone

from users.models import User

ALGORITHM = "HS256"
ISSUER = "cinema"
AUDIENCE = "cinema-api"
#: Seconds by which clocks may differ.
LEEWAY_S = 5


def _signing_key() -> bytes:
    """Derived from SECRET_KEY, so that a token is good for nothing else signed with that."""
    return hashlib.sha256(b"cinema access token\0" + settings.SECRET_KEY.encode()).digest()


def issue_access_token(user: User) -> str:
    now = timezone.now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user.pk),
        "kind": "access",
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(seconds=settings.ACCESS_TOKEN_LIFETIME_S),
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, _signing_key(), ALGORITHM)


def read_access_token(token: str) -> int | None:
    """The id of the user whom the token was issued to, or None if it does not count."""
    try:
        claims = jwt.decode(
            token,
            _signing_key(),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "nbf", "sub", "jti"]},
        )
        return int(claims["sub"]) if claims.get("kind") == "access" else None
    except (jwt.PyJWTError, ValueError, UnicodeError):
        return None


class AccessTokenBackend(BaseBackend):
    """Reads access tokens for `cinema.auth`, and signs nobody in by other means."""

    def authenticate(
        self, request: HttpRequest | None, access_token: str | None = None, **credentials: object
    ) -> User | None:
        if access_token is None or (user_id := read_access_token(access_token)) is None:
            return None
        return User.objects.filter(pk=user_id, is_active=True).first()

    def get_user(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id).first()


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def hash_refresh_token(token: str) -> bytes:
    """SHA-256 is enough: the token is 256 random bits, which nobody can guess from its hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def refresh_expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S)
