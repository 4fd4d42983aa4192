"""Authentication by access tokens, and the request types of operations that use it."""

from __future__ import annotations

import time
from functools import cache, lru_cache

import jwt
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest
from django.utils import timezone

from cinema.database import prepared_cursor
from cinema.errors import Unauthorized
from users.models import User
from users.tokens import AccessToken, read_access_token

#: The caller of an operation for `anyone`.
Reader = User | AnonymousUser


class AuthedRequest(HttpRequest):
    auth: User


class ReaderRequest(HttpRequest):
    auth: Reader


def token_user(token: str) -> User | None:
    """The viewer of a valid access token whose session is active, with `session_id` set.

    Every request asks Postgres, so a session that has ended is refused at once.
    """
    try:
        claims = _read_token(token, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    except (jwt.PyJWTError, ValueError):
        return None
    if not claims.valid_from <= time.time() < claims.valid_until:
        return None
    sql, names = _token_user_query()
    with prepared_cursor() as cursor:
        cursor.execute(sql, [claims.session_id, claims.user_id, timezone.now()])
        row = cursor.fetchone()
    if row is None:
        return None
    user = User.from_db(DEFAULT_DB_ALIAS, names, row)
    user.session_id = claims.session_id
    return user


@lru_cache(maxsize=4096)
def _read_token(token: str, secrets: tuple[str, ...]) -> AccessToken:
    """Verify each token once, which took 0.09 ms: as much as the query and its object."""
    return read_access_token(token)


@cache
def _token_user_query() -> tuple[str, list[str]]:
    """The SQL and the names of its columns. Django's compiler would take as long as the query."""
    names = [field.attname for field in User._meta.concrete_fields]
    return (
        f"SELECT {', '.join(f'viewer.{name}' for name in names)} "  # noqa: S608 - our own names
        "FROM users_session AS session JOIN users_user AS viewer ON viewer.id = session.user_id "
        "WHERE session.id = %s AND viewer.id = %s AND viewer.is_active "
        "AND session.revoked_at IS NULL AND session.expires_at > %s",
        names,
    )


def lock_viewer(user: User) -> None:
    """Block other writers of this viewer's data until the transaction ends.

    Limits on the number of rows then hold. Most of these writes take the lock anyway, as they
    raise `taste_version`; taken first, two of them cannot deadlock.

    Raises:
        Unauthorized: The account was deleted since the request began.
    """
    with prepared_cursor() as cursor:
        cursor.execute("SELECT FROM users_user WHERE id = %s FOR NO KEY UPDATE", [user.pk])
        if not cursor.rowcount:
            raise Unauthorized("This account no longer exists.")


def raise_taste_version(user_id: int) -> None:
    """Mark what was computed from the viewer's favourites, history and preferences as outdated.

    Their services call it. For interactions, which are also imported by COPY, a trigger does it.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE users_user SET taste_version = taste_version + 1 WHERE id = %s", [user_id]
        )
