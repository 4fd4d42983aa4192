"""Access tokens (JWT, RFC 7519) and refresh tokens (random, stored hashed)."""

from __future__ import annotations

import base64
import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from django.conf import settings
from django.utils import timezone

from users.hashing import token_bytes
from users.models import Session
from users.sessions.keys import all_keys, key_of, newest_key

#: The only one, whatever the head of a token says.
ALGORITHM = "HS256"
ISSUER = "cinema"
AUDIENCE = "cinema-api"
#: Seconds by which clocks may differ.
LEEWAY_S = 5
#: Ours have about 400. What is longer is not even looked into.
MAX_LENGTH = 600
REQUIRED = ["iss", "aud", "sub", "sid", "kind", "iat", "nbf", "exp", "jti"]
MAX_ID = 2**63 - 1


def issue_access_token(session: Session) -> str:
    now, key = timezone.now(), newest_key()
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
    return jwt.encode(claims, key.signing, ALGORITHM, headers={"kid": key.id})


@dataclass(frozen=True)
class AccessToken:
    """What an access token says, once its signature and its time are found to be good."""

    user_id: int
    session_id: int


def read_access_token(token: str) -> AccessToken | None:
    """None if the token does not count."""
    if len(token) > MAX_LENGTH:
        return None
    try:
        key = key_of(jwt.get_unverified_header(token).get("kid"))
        return None if key is None else _read_claims(_verified(token, key.signing))
    except (jwt.PyJWTError, ValueError):
        return None


def _verified(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a token that this key has signed and whose time it is."""
    return jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY_S,
        options={"require": REQUIRED, "strict_aud": True},
    )


def _read_claims(claims: dict[str, Any]) -> AccessToken | None:
    """Strictly: `int` would take `True`, `7.5` and `"٧"` too."""
    subject, session = claims["sub"], claims["sid"]
    if claims["kind"] != "access" or type(session) is not int:
        return None
    if not subject.isascii() or not subject.isdecimal():
        return None
    token = AccessToken(int(subject), session)
    return token if 0 < token.user_id <= MAX_ID and 0 < session <= MAX_ID else None


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    return secrets.token_bytes(16)


def successors(token: str, salt: bytes) -> list[str]:
    """What may follow on a refresh token, by each key, the newest first.

    Whoever sends the token once more can be given the same successor again, and yet it is stored
    nowhere: it takes the token, which the client has, and the salt and a key, which we have.
    """
    text = salt + token_bytes(token)
    made = (hmac.digest(key.succession, text, "sha256") for key in all_keys())
    return [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in made]


def refresh_expiry(began_at: datetime) -> datetime:
    """Of the next refresh token: not after the end of a session that began then."""
    lifetime = timedelta(seconds=settings.REFRESH_TOKEN_LIFETIME_S)
    end = began_at + timedelta(days=settings.SESSION_LIFETIME_DAYS)
    return min(timezone.now() + lifetime, end)
