"""Access tokens (JWT, RFC 7519) and refresh tokens (random, stored hashed)."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from django.conf import settings
from django.utils import timezone

from users.models import Session

ALGORITHM = "HS256"
ISSUER = "cinema"
AUDIENCE = "cinema-api"
#: Seconds by which clocks may differ.
LEEWAY_S = 5


def _signing_key() -> bytes:
    """Derived from SECRET_KEY, so that a token is good for nothing else signed with that."""
    return hashlib.sha256(b"cinema access token\0" + settings.SECRET_KEY.encode()).digest()


def issue_access_token(session: Session) -> str:
    now = timezone.now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(session.user_id),
        "sid": session.pk,
        "kind": "access",
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(seconds=settings.ACCESS_TOKEN_LIFETIME_S),
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, _signing_key(), ALGORITHM)


@dataclass(frozen=True)
class AccessToken:
    """What an access token says, once its signature and its time are found to be good."""

    user_id: int
    session_id: int


def read_access_token(token: str) -> AccessToken | None:
    """None if the token does not count."""
    try:
        claims = jwt.decode(
            token,
            _signing_key(),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "nbf", "sub", "sid", "jti"]},
        )
        if claims.get("kind") != "access":
            return None
        return AccessToken(int(claims["sub"]), int(claims["sid"]))
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def hash_refresh_token(token: str) -> bytes:
    """SHA-256 is enough: the token is 256 random bits, which nobody can guess from its hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def refresh_expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S)
