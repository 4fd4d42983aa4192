"""What Django and Celery keep of viewers in tables without a foreign key to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session as OfficeSession
from django.db.models import Q, QuerySet
from django_celery_results.models import TaskResult

from users.models import MailRequest, User


class OfficeSessions:
    """Sign-ins to the office. Who they belong to stands within the signed text of each."""

    name = "office_sessions"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        for session in _sessions_of(user):
            yield {"expires_at": session.expire_date}  # its key would open the office

    def erase(self, user: User) -> None:
        keys = [session.pk for session in _sessions_of(user)]
        OfficeSession.objects.filter(pk__in=keys).delete()


def _sessions_of(user: User) -> Iterator[OfficeSession]:
    """Looked for one by one: there are as many as staff have signed in lately."""
    for session in OfficeSession.objects.order_by("expire_date").iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            yield session


class MailsToAnybody:
    """Mails that somebody asked for who was not signed in: they name an address and no account."""

    name = "mails_to_your_address"

    def export(self, user: User) -> Iterable[Mapping[str, Any]]:
        found = _mails_to(user).order_by("pk")
        return found.values("kind", "created_at", "attempts", "due_at").iterator()

    def erase(self, user: User) -> None:
        _mails_to(user).delete()


def _mails_to(user: User) -> QuerySet[MailRequest]:
    return MailRequest.objects.filter(user=None, email=user.email)


class TaskResults:
    """Celery's records of what was done for a viewer.

    A task that is about one takes the id by the keyword `user_id`: tests/test_erasure.py.
    """

    name = "tasks"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        columns = ("task_name", "status", "date_created", "date_done")
        yield from _results_of(user).order_by("pk").values(*columns).iterator()

    def erase(self, user: User) -> None:
        _results_of(user).delete()


def _results_of(user: User) -> QuerySet[TaskResult]:
    """By the id, and by the address: what a server of mails refuses, it repeats."""
    columns = ("task_args", "task_kwargs", "result", "traceback", "meta")
    named = Q(task_kwargs__regex=rf"'user_id': {user.pk}\M")
    for column in columns:
        named |= Q(**{f"{column}__icontains": user.email})
    return TaskResult.objects.filter(named)
