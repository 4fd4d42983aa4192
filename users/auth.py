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

from cinema import replicas
from cinema.database import prepared_cursor
from cinema.errors import Unauthorized
from cinema.locks import retry_on_deadlock
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
    has_replicas = replicas.REPLICAS != ()
    sql, names = _token_user_query(has_replicas)
    with prepared_cursor() as cursor:
        cursor.execute(sql, [claims.session_id, claims.user_id, timezone.now()])
        row = cursor.fetchone()
    if row is None:
        return None
    if has_replicas:
        *row, position, of_taste_version = row
    user = User.from_db(DEFAULT_DB_ALIAS, names, row)
    user.session_id = claims.session_id
    if has_replicas:
        if of_taste_version != user.taste_version:  # something has changed since, or is changing
            position = keep_position(user.pk)
        replicas.require(position, user_id=user.pk)
    return user


@lru_cache(maxsize=4096)
def _read_token(token: str, secrets: tuple[str, ...]) -> AccessToken:
    """Verify each token once, which took 0.09 ms: as much as the query and its object."""
    return read_access_token(token)


@cache
def _token_user_query(has_replicas: bool) -> tuple[str, list[str]]:
    """The SQL and the names of its columns. Django's compiler would take as long as the query."""
    names = [field.attname for field in User._meta.concrete_fields]
    columns = [f"viewer.{name}" for name in names]
    if has_replicas:
        columns += ["session.wal_position", "session.wal_taste_version"]
    return (
        f"SELECT {', '.join(columns)} "  # noqa: S608 - our own names
        "FROM users_session AS session JOIN users_user AS viewer ON viewer.id = session.user_id "
        "WHERE session.id = %s AND viewer.id = %s AND viewer.is_active "
        "AND session.revoked_at IS NULL AND session.expires_at > %s",
        names,
    )


#: The position is read once the viewer is locked, so it lies behind the taste version and all that
#: the viewer has written. The commit does not wait for the disk: `Replica` looks after a crash.
#: `users.sessions` locks the viewer before several sessions too, so the two do not deadlock.
KEEP_POSITION = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
viewer AS MATERIALIZED (
    SELECT id, taste_version FROM users_user WHERE id = %s FOR NO KEY UPDATE
)
UPDATE users_session AS session
SET wal_position = pg_current_wal_insert_lsn() - '0/0', wal_taste_version = viewer.taste_version
FROM viewer, quick
WHERE viewer.id = session.user_id AND session.revoked_at IS NULL
RETURNING wal_position
"""


@retry_on_deadlock  # an erasure locks sessions before the viewer
def keep_position(user_id: int) -> int:
    """Keep the present position of the write-ahead log with the viewer's sessions; return it.

    From then on the viewer's reads go to replicas that have replayed it: `cinema.replicas`.
    """
    with prepared_cursor() as cursor:
        cursor.execute(KEEP_POSITION, [user_id])
        row = cursor.fetchone()
    return int(row[0]) if row else replicas.UNREACHABLE


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
