"""Authentication by access tokens, and the request types of operations that use it."""

from __future__ import annotations

from functools import cache

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser
from django.db import DEFAULT_DB_ALIAS, connection
from django.http import HttpRequest
from django.utils import timezone

from cinema.database import prepared_cursor
from cinema.errors import Unauthorized
from users.models import Session, User
from users.tokens import read_access_token

#: The caller of an operation for `anyone`.
Reader = User | AnonymousUser


class AuthedRequest(HttpRequest):
    auth: User


class ReaderRequest(HttpRequest):
    auth: Reader


def token_user(*, session_id: int, user_id: int) -> User | None:
    """The viewer of an active session, with `session` set; one query.

    Every request with a token makes this query, so its SQL is built once: Django's compiler took
    half the time of a request that does nothing else.
    """
    sql, names, own_names = _token_user_query()
    with connection.cursor() as cursor:
        cursor.execute(sql, [session_id, user_id, timezone.now()])
        row = cursor.fetchone()
    if row is None:
        return None
    user = User.from_db(DEFAULT_DB_ALIAS, names, row[: len(names)])
    user.session = Session.from_db(DEFAULT_DB_ALIAS, own_names, row[len(names) :])
    user.session.user = user
    return user


@cache
def _token_user_query() -> tuple[str, list[str], list[str]]:
    """The SQL, and the names of the viewer's and of the session's columns."""
    users = [field.attname for field in User._meta.concrete_fields]
    sessions = [field.attname for field in Session._meta.concrete_fields]
    columns = [*(f"viewer.{name}" for name in users), *(f"session.{name}" for name in sessions)]
    return (
        f"SELECT {', '.join(columns)} FROM users_session AS session "  # noqa: S608 - our own names
        "JOIN users_user AS viewer ON viewer.id = session.user_id "
        "WHERE session.id = %s AND viewer.id = %s AND viewer.is_active "
        "AND session.revoked_at IS NULL AND session.expires_at > %s",
        users,
        sessions,
    )


class AccessTokenBackend(BaseBackend):
    """Django's authentication backend for access tokens; `cinema.auth` calls it."""

    def authenticate(
        self, request: HttpRequest | None, access_token: str | None = None, **credentials: object
    ) -> User | None:
        """The viewer of a valid token whose session is active.

        Every request asks Postgres, so a revoked session is refused at once.
        """
        if access_token is None or (token := read_access_token(access_token)) is None:
            return None
        return token_user(session_id=token.session_id, user_id=token.user_id)

    def get_user(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id).first()


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
