"""Access tokens as one would forge them, and what is sent with them."""

from __future__ import annotations

import base64
import hmac
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.utils import timezone

from tests.builders import Client
from users import tokens
from users.models import User
from users.sessions import open_session
from users.tokens import newest_key

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

PASSWORD = "cleo from 5 to 7"


def bearer(access: str, method: str = "GET", path: str = "/users/me") -> Response:
    """The response to a request with this token."""
    return Client().send(method, path, headers={"Authorization": f"Bearer {access}"})


def status_of(access: str) -> int:
    return bearer(access).status_code


def sign_in(user: User, device: str = "") -> dict[str, str]:
    """A pair of tokens, by the password that this module knows."""
    answer = Client().send(
        "POST",
        "/auth/login",
        {"email": user.email, "password": PASSWORD},
        headers={"User-Agent": device},
    )
    assert answer.status_code == 200, answer.content
    pair: dict[str, str] = answer.json()
    return pair


def refresh(token: str) -> Response:
    return Client().post("/auth/refresh", {"refresh": token})


def claims(user: User, **changes: Any) -> dict[str, Any]:
    """Good ones, of a new session, but for the changes."""
    now = int(timezone.now().timestamp())
    return {
        "iss": tokens.ISSUER,
        "aud": tokens.AUDIENCE,
        "sub": str(user.pk),
        "sid": open_session(user=user).pk,
        "kind": "access",
        "iat": now,
        "nbf": now,
        "exp": now + int(timedelta(minutes=5).total_seconds()),
        "jti": "1",
    } | changes


def forge(claims: Any, *, key: bytes | None = None, header: dict[str, Any] | None = None) -> str:
    """A token made by hand, signed by HMAC-SHA256 whatever its head says.

    Args:
        key: Ours by default: what is wrong with the token is then something else.
        header: Merged over a good one; None takes an entry out.
    """
    ours = newest_key()
    head = {"alg": "HS256", "typ": "JWT", "kid": ours.id} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    text = b".".join(_base64(orjson.dumps(part)) for part in (head, claims))
    signature = hmac.digest(key or ours.signing, text, "sha256")
    return b".".join((text, _base64(signature))).decode()


def _base64(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
