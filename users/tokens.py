"""Tokens: access tokens (JWT, RFC 7519), and refresh and mailed tokens (random, stored hashed).

The keys are derived from SECRET_KEY and from SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from users.errors import MailedTokenRefused
from users.models import MailedToken, Session, User

Purpose = MailedToken.Purpose

#: The only algorithm, whatever the header of a token says.
ALGORITHM = "HS256"
ISSUER = "cinema"
AUDIENCE = "cinema-api"
#: Clocks may differ by this.
LEEWAY_S = 5
#: Our access tokens have about 400 characters. Longer ones are not decoded.
MAX_TOKEN_LENGTH = 600
REQUIRED_CLAIMS = ["iss", "aud", "sub", "sid", "kind", "iat", "nbf", "exp", "jti"]
MAX_ID = 2**63 - 1
#: A session ends when it is not refreshed for this time,
REFRESH_TOKEN_LIFETIME = timedelta(days=14)
#: and in any case after this time.
SESSION_LIFETIME = timedelta(days=90)
MAILED_TOKEN_LIFETIMES = {
    Purpose.VERIFY_EMAIL: timedelta(days=3),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
}


def hash_token(token: str) -> bytes:
    """SHA-256 is enough: a token is 256 random bits, which cannot be guessed from the hash."""
    return hashlib.sha256(_token_bytes(token)).digest()


def _token_bytes(token: str) -> bytes:
    """Encode any text that a client may send, lone surrogates too."""
    return token.encode("utf-8", "surrogatepass")


# --- keys


@dataclass(frozen=True)
class Key:
    """The keys derived from one secret. None of them discloses another.

    Attributes:
        id: Public: `kid` in the header of a token.
        succession: Derives the successor of a refresh token.
    """

    id: str
    signing: bytes
    succession: bytes


def newest_key() -> Key:
    """The key that signs new tokens."""
    return _derived(settings.SECRET_KEY)


def all_keys() -> list[Key]:
    """The accepted keys, the newest first."""
    return [_derived(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=16)
def _derived(secret: str) -> Key:
    def part(purpose: str) -> bytes:
        return hmac.digest(secret.encode(), f"cinema {purpose}".encode(), "sha256")

    return Key(part("key id")[:8].hex(), part("access token"), part("refresh token"))


# --- access tokens


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
    """The claims of a verified access token; times are Unix times that include LEEWAY_S."""

    user_id: int
    session_id: int
    valid_from: int
    valid_until: int


def read_access_token(token: str) -> AccessToken:
    """The claims of a token.

    Raises:
        jwt.PyJWTError, ValueError: It is malformed, expired, or not signed with one of our keys.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise ValueError("the token is too long")
    kid = jwt.get_unverified_header(token).get("kid")
    for key in all_keys():
        if key.id == kid:
            return _read_claims(_verified(token, key.signing))
    raise ValueError("no key has this id")


def _verified(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a token that this key has signed and that has not expired."""
    return jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY_S,
        options={"require": REQUIRED_CLAIMS, "strict_aud": True},
    )


def _read_claims(claims: dict[str, Any]) -> AccessToken:
    """Check the types by hand: `int` would also take `True`, `7.5` and `"٧"`."""
    subject, session = claims["sub"], claims["sid"]
    if claims["kind"] != "access" or type(session) is not int:
        raise ValueError("not an access token")
    is_number = subject.isascii() and subject.isdecimal()
    if not is_number or not 0 < int(subject) <= MAX_ID or not 0 < session <= MAX_ID:
        raise ValueError("no id")
    begins, ends = int(claims["nbf"]) - LEEWAY_S, int(claims["exp"]) + LEEWAY_S
    return AccessToken(int(subject), session, valid_from=begins, valid_until=ends)


# --- refresh tokens


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    return secrets.token_bytes(16)


def successors(token: str, salt: bytes) -> list[str]:
    """The possible successors of a refresh token, one for each key, the newest first.

    A successor is derived and not stored: it takes the token, which only the client has, and the
    salt and a key, which only the server has. So the same token gets the same successor again.
    """
    text = salt + _token_bytes(token)
    digests = (hmac.digest(key.succession, text, "sha256") for key in all_keys())
    return [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in digests]


def refresh_expiry(began_at: datetime) -> datetime:
    """The end of the next refresh token, within the lifetime of a session that began then."""
    return min(timezone.now() + REFRESH_TOKEN_LIFETIME, began_at + SESSION_LIFETIME)


# --- mailed tokens


@transaction.atomic
def issue_mailed_token(user: User, purpose: Purpose) -> str:
    """Make a token for the viewer's address, and void those that were sent before.

    Raises:
        ValueError: The account was deleted meanwhile.
    """
    # The lock keeps two requests at once from leaving each other's token valid.
    if not User.objects.select_for_update(no_key=True).filter(pk=user.pk):
        raise ValueError("the account is gone")
    MailedToken.objects.filter(user=user, purpose=purpose).delete()
    token = secrets.token_urlsafe(32)
    MailedToken.objects.create(
        user=user,
        purpose=purpose,
        email=user.email,
        token_hash=hash_token(token),
        expires_at=timezone.now() + MAILED_TOKEN_LIFETIMES[purpose],
    )
    return token


def read_mailed_token(token: str, purpose: Purpose) -> tuple[User, MailedToken]:
    """The viewer to whom the token was sent, locked until the transaction ends, and the token.

    Raises:
        MailedTokenRefused: The token is not valid.
    """
    known = {"token_hash": hash_token(token), "purpose": purpose}
    by_token = {f"mailed_tokens__{name}": value for name, value in known.items()}
    # The viewer is locked first, as in `issue_mailed_token`.
    users = User.objects.select_for_update(no_key=True, of=("self",))
    user = users.filter(is_active=True, **by_token).first()
    if user is None:
        raise MailedTokenRefused
    # Read under the lock: of two requests with the same token, one finds it used.
    found = MailedToken.objects.filter(
        user=user, email=user.email, used_at=None, expires_at__gt=timezone.now(), **known
    ).first()
    if found is None:
        raise MailedTokenRefused
    return user, found


def mark_used(token: MailedToken) -> None:
    MailedToken.objects.filter(pk=token.pk).update(used_at=timezone.now())
