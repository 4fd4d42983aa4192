"""The author of the writes in a request, a command or a task, for the audit log.

The triggers that write the log cannot know who signed in, so the session parameter `cinema.audit`
stays: while `recording` is on, it is set before each write, for the transaction only. A pooled
connection therefore never carries it over to another request. Without it the triggers do nothing:
the writes of viewers and of the clock cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone
from psycopg.pq import TransactionStatus

from cinema.audit.models import AuditEntry
from cinema.logs import current_request_id

Via = Literal["api", "admin", "command", "task"]

_PARAMETER = "SELECT set_config('cinema.audit', %s, true)"
#: The first words of statements that cannot write a row.
_READS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SHOW", "SET", "LOCK", "DECLARE", "FETCH")


class Author(TypedDict):
    """`user_id` is None where no account writes, as in a scheduled task."""

    user_id: int | None
    via: Via
    path: str
    request_id: str


def author(*, via: Via, path: str, user_id: int | None = None, request_id: str = "") -> Author:
    return {"user_id": user_id, "via": via, "path": path[:300], "request_id": request_id}


@contextmanager
def recording(who: Callable[[], Author | None]) -> Iterator[None]:
    """Record the writes on this thread's connection in the audit log.

    Within another `recording` it does nothing: the outer one knows the author.

    Args:
        who: Returns the author. It is called at each write, as a request begins before it is
            authenticated. None means that the write is not recorded, as a viewer's rating.
    """
    if any(isinstance(wrapper, _AuthorSetter) for wrapper in connection.execute_wrappers):
        yield
        return
    setter = _AuthorSetter(who)
    try:
        with connection.execute_wrapper(setter):
            yield
    finally:
        setter.withdraw()


@contextmanager
def recording_as(*, via: Via, path: str, user_id: int | None = None) -> Iterator[None]:
    """Record the writes of a command or a task, whose author is known from the start."""
    known = author(via=via, path=path, user_id=user_id)
    with recording(lambda: known):
        yield


def record(
    action: Literal["create", "update", "delete"],
    model: str,
    object_id: int,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Log a change of a row whose table has no audit trigger, while `recording` is on.

    For tables that one or two functions write, which call it in the transaction of the change.

    Args:
        model: The row's kind, a value of `AuditEntry.Model`.
    """
    setter = next((w for w in connection.execute_wrappers if isinstance(w, _AuthorSetter)), None)
    if setter is not None and (known := setter.author()) is not None:
        AuditEntry.objects.create(
            at=timezone.now(),
            action=action,
            model=model,
            object_id=object_id,
            before=before,
            after=after,
            **known,
        )


class _AuthorSetter:
    """Set the author in the database before each write.

    Once for each transaction would not do: a rollback to a savepoint resets the parameter, and
    the end of a transaction cannot be seen from here.
    """

    def __init__(self, who: Callable[[], Author | None]) -> None:
        self.author = who
        self._is_set = False

    def __call__(
        self,
        execute: Callable[[Any, Any, bool, Any], Any],
        sql: Any,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        reads = isinstance(sql, str) and sql.lstrip()[:20].upper().startswith(_READS)
        if reads or (known := self.author()) is None:
            return execute(sql, params, many, context)
        with nullcontext() if connection.in_atomic_block else transaction.atomic():
            _set_author(json.dumps(known))
            self._is_set = True
            return execute(sql, params, many, context)

    def withdraw(self) -> None:
        """Clear the author in a transaction that goes on, as in a test."""
        goes_on = connection.in_atomic_block and not connection.needs_rollback
        if self._is_set and goes_on:
            driver = connection.connection
            if driver and driver.info.transaction_status == TransactionStatus.INTRANS:
                _set_author("")


def _set_author(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_PARAMETER, [text])


def request_author(request: HttpRequest) -> Author | None:
    """Return the member of staff, by the authentication that belongs to the path."""
    is_admin = request.path.startswith("/admin/")
    user = getattr(request, "user" if is_admin else "auth", None)
    if user is None or not getattr(user, "is_staff", False):
        return None
    return author(
        user_id=user.pk,
        via="admin" if is_admin else "api",
        # Quoted, as a path may hold what JSON in Postgres may not.
        path=f"{request.method} {quote(request.path)}",
        request_id=current_request_id(),
    )
