"""Who is writing: told to the database, whose triggers keep the audit log.

A trigger cannot know who asked for a write. While `recording` is on, the parameter `cinema.audit`
is set before each write, for its transaction alone, and the triggers copy it into the log. As it
ends with the transaction, no connection of the pool carries it to somebody else.
Without it the triggers do nothing, which is why viewers and the clock pay nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from psycopg.pq import TransactionStatus

from cinema.audit.models import AuditEntry
from cinema.logs import current_request_id

Via = Literal["api", "admin", "command", "task"]

_PARAMETER = "SELECT set_config('cinema.audit', %s, true)"
#: How a statement begins that cannot write a row of a table.
_READS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SHOW", "SET", "LOCK", "DECLARE", "FETCH")


class Author(TypedDict):
    """`user_id` is None where nobody in particular writes, as in a task by the clock."""

    user_id: int | None
    via: Via
    path: str
    request_id: str


def author(*, via: Via, path: str, user_id: int | None = None, request_id: str = "") -> Author:
    return {"user_id": user_id, "via": via, "path": path[:300], "request_id": request_id}


@contextmanager
def recording(who: Callable[[], Author | None]) -> Iterator[None]:
    """Put what is written on this thread's connection into the audit log.

    Within another `recording` it does nothing: who began knows best on whose behalf it is.

    Args:
        who: Asked at each write, as a request begins before it is known who sends it. None: the
            write is nobody's business, as when viewers rate.
    """
    if any(isinstance(wrapper, _Announcer) for wrapper in connection.execute_wrappers):
        yield
        return
    announcer = _Announcer(who)
    try:
        with connection.execute_wrapper(announcer):
            yield
    finally:
        announcer.withdraw()


@contextmanager
def recording_as(*, via: Via, path: str, user_id: int | None = None) -> Iterator[None]:
    """`recording` for a command or a task, of which all is known from the start."""
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
    announcer = next((w for w in connection.execute_wrappers if isinstance(w, _Announcer)), None)
    if announcer is not None and (known := announcer.author()) is not None:
        AuditEntry.objects.create(
            at=timezone.now(),
            action=action,
            model=model,
            object_id=object_id,
            before=before,
            after=after,
            **known,
        )


class _Announcer:
    """Tells the database who writes, before each write.

    Each, and not once in a transaction: a rollback to a savepoint takes the telling back, and
    where a transaction ends cannot be seen from here.
    """

    def __init__(self, who: Callable[[], Author | None]) -> None:
        self.author = who
        self._has_told = False

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
            _tell(json.dumps(known))
            self._has_told = True
            return execute(sql, params, many, context)

    def withdraw(self) -> None:
        """Within a transaction that goes on, as in a test, what comes next is somebody else's."""
        goes_on = connection.in_atomic_block and not connection.needs_rollback
        if self._has_told and goes_on:
            driver = connection.connection
            if driver and driver.info.transaction_status == TransactionStatus.INTRANS:
                _tell("")


def _tell(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_PARAMETER, [text])


GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def audit_middleware(get_response: GetResponse) -> GetResponse:
    """Put what staff write into the audit log. Reads, and what viewers write, cost nothing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method in SAFE_METHODS:
            return get_response(request)
        with recording(lambda: _author_of(request)):
            return get_response(request)

    return middleware


def _author_of(request: HttpRequest) -> Author | None:
    """The member of staff whom the request's own kind of authentication has found."""
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
