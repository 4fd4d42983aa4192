"""The keys of tokens, derived from SECRET_KEY and from those of SECRET_KEY_FALLBACKS."""

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

RESET_PASSWORD_LIFETIME_S = 3600
VERIFY_EMAIL_LIFETIME_S = 3 * 86_400
#: A viewer signs in again after so many days, however often the tokens were refreshed.
SESSION_LIFETIME_DAYS = 90
REFRESH_TOKEN_LIFETIME_S = 14 * 86_400


def hash_token(token: str) -> bytes:
    """SHA-256 is enough: a token is 256 random bits, which nobody can guess from its hash."""
    return hashlib.sha256(token_bytes(token)).digest()


def token_bytes(token: str) -> bytes:
    """Whatever a client sends for one."""
    return token.encode("utf-8", "surrogatepass")


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


#: The only one, whatever the head of a token says.
ALGORITHM = "HS256"
ISSUER = "cinema"
AUDIENCE = "cinema-api"
#: Seconds by which clocks may differ.
LEEWAY_S = 5
#: Ours have about 400. What is longer is not even looked into.
MAX_TOKEN_LENGTH = 600
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
    if len(token) > MAX_TOKEN_LENGTH:
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
    lifetime = timedelta(seconds=REFRESH_TOKEN_LIFETIME_S)
    end = began_at + timedelta(days=SESSION_LIFETIME_DAYS)
    return min(timezone.now() + lifetime, end)


Purpose = MailedToken.Purpose


@transaction.atomic
def issue_mailed_token(user: User, purpose: Purpose) -> str:
    """A new token for the viewer's address. Those that were sent before count no more.

    Raises:
        ValueError: The account was deleted meanwhile.
    """
    # Two at once would each leave the other's token standing.
    if not User.objects.select_for_update(no_key=True).filter(pk=user.pk):
        raise ValueError("the account is gone")
    MailedToken.objects.filter(user=user, purpose=purpose).delete()
    token = secrets.token_urlsafe(32)
    MailedToken.objects.create(
        user=user,
        purpose=purpose,
        email=user.email,
        token_hash=hash_token(token),
        expires_at=timezone.now() + timedelta(seconds=_lifetime_s(purpose)),
    )
    return token


def read_mailed_token(token: str, purpose: Purpose) -> tuple[User, MailedToken]:
    """The token, and the viewer to whom it was sent, locked until the transaction ends.

    Raises:
        MailedTokenRefused: It does not count.
    """
    known = {"token_hash": hash_token(token), "purpose": purpose}
    by_token = {f"mailed_tokens__{name}": value for name, value in known.items()}
    # The viewer first, as whoever replaces a token does it.
    users = User.objects.select_for_update(no_key=True, of=("self",))
    user = users.filter(is_active=True, **by_token).first()
    if user is None:
        raise MailedTokenRefused
    # Read under the lock: of two that come with the same token, one finds it used.
    found = MailedToken.objects.filter(
        user=user, email=user.email, used_at=None, expires_at__gt=timezone.now(), **known
    ).first()
    if found is None:
        raise MailedTokenRefused
    return user, found


def mark_used(token: MailedToken) -> None:
    MailedToken.objects.filter(pk=token.pk).update(used_at=timezone.now())


def _lifetime_s(purpose: Purpose) -> int:
    lifetimes_s = {
        Purpose.VERIFY_EMAIL: VERIFY_EMAIL_LIFETIME_S,
        Purpose.RESET_PASSWORD: RESET_PASSWORD_LIFETIME_S,
    }
    return lifetimes_s[purpose]
