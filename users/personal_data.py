"""Which tables hold what belongs to a viewer.

They are found by Django's relations and not listed, so that a new table is in the export from its
first day. What is left out is listed, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session as OfficeSession
from django.db.models import Field, ForeignKey, Model, Q, QuerySet
from django.utils.module_loading import import_string
from django_celery_results.models import TaskResult

from users.models import MailRequest, User

_ANOTHER = "Another viewer, who need not have agreed to be seen."
_HASH_OF_TITLE = "A hash of the title, the year or the TMDb id, which are in the export."

#: Columns that the export does not hold.
LEFT_OUT: Mapping[str, str] = {
    "users.User.password": "A hash: it says nothing of the password, but helps whoever guesses it.",
    "users.RefreshToken.token_hash": "A hash, by which the server knows the token again.",
    "users.SecondFactor.secret": "Whoever has it can make codes for the sign-in.",
    "users.RecoveryCode.code_hash": "A hash, by which the server knows the code again.",
    "users.MailedToken.token_hash": "A hash, by which the server knows the token again.",
    "recommendations.Neighbour.user": _ANOTHER,
    "recommendations.Neighbour.other": _ANOTHER,
    "recommendations.PendingImport.film": _HASH_OF_TITLE,
    "recommendations.PendingImport.title_keys": _HASH_OF_TITLE,
}


@dataclass(frozen=True)
class PersonalTable:
    """A table whose rows belong to a viewer: by itself, or as parts of a row that does.

    Attributes:
        name: Its key in the export.
        owners: The foreign keys to the viewer; of parts, the one to what they are parts of.
        paths: The lookups from a row to the viewer.
        order: Of the rows: parts come in the order of what they are parts of.
        parts: The tables that hold parts of this one's rows.
    """

    name: str
    model: type[Model]
    owners: Sequence[ForeignKey[Any, Any]]
    paths: Sequence[str]
    order: Sequence[str]
    parts: Sequence[PersonalTable]

    @property
    def fields(self) -> list[Field[Any, Any]]:
        """What the export holds of a row. An owner goes without saying, unless there are two."""
        known = set(self.owners) if len(self.owners) == 1 else set()
        label = self.model._meta.label
        return [
            field
            for field in self.model._meta.concrete_fields
            if field not in known and f"{label}.{field.name}" not in LEFT_OUT
        ]

    def rows_of(self, user_id: int) -> QuerySet[Any]:
        mine = Q(*((path, user_id) for path in self.paths), _connector=Q.OR)
        return self.model._base_manager.filter(mine).order_by(*self.order)

    def with_parts(self) -> Iterator[PersonalTable]:
        yield self
        for part in self.parts:
            yield from part.with_parts()


@cache
def personal_tables() -> Sequence[PersonalTable]:
    """All tables but the accounts themselves, each with the tables of its parts."""
    models = apps.get_models(include_auto_created=True)
    found = {model: owners for model in models if (owners := _references(model, User))}
    return [
        _table(model, owners, [owner.name for owner in owners], ["pk"], set(found))
        for model, owners in found.items()
    ]


def _table(
    model: type[Model],
    owners: Sequence[ForeignKey[Any, Any]],
    paths: Sequence[str],
    order: Sequence[str],
    known: set[type[Model]],
) -> PersonalTable:
    parts = []
    for other in apps.get_models(include_auto_created=True):
        # What names a viewer itself is that viewer's: who follows a list is not a part of it.
        if other not in known and (references := _references(other, model)):
            owner = references[0]
            known.add(other)
            further = [f"{owner.name}__{path}" for path in paths]
            keys = [f"{owner.name}__{key}" for key in order]
            parts.append(_table(other, [owner], further, [*keys, "pk"], known))
    return PersonalTable(_name(model, owners[0]), model, owners, paths, order, parts)


def _references(model: type[Model], target: type[Model]) -> list[ForeignKey[Any, Any]]:
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, ForeignKey) and field.related_model is target
    ]


def _name(model: type[Model], owner: ForeignKey[Any, Any]) -> str:
    """As the rows are called from where they belong: `favourites`, `entries`, `groups`."""
    if between := model._meta.auto_created:
        fields: Iterable[Any] = cast("type[Model]", between)._meta.many_to_many
        return str(next(field.name for field in fields if field.remote_field.through is model))
    accessor = owner.remote_field.get_accessor_name() or "+"
    if accessor.endswith("+"):  # those that cannot be reached from there
        return str(model._meta.verbose_name_plural).replace(" ", "_")
    return accessor.removesuffix("_set")


class PersonalDataSource(Protocol):
    #: Its key in the export.
    name: str

    def export(self, user: User) -> Iterable[Mapping[str, Any]]:
        """What is kept, row by row. Within the export's transaction, which only reads."""

    def erase(self, user: User) -> None:
        """Forget it. Within the transaction that erases the viewer, and before the viewer's rows
        go; what is no part of the database, after its commit.
        """


@cache
def personal_data_sources() -> list[PersonalDataSource]:
    return [import_string(path)() for path in settings.PERSONAL_DATA_KEEPERS]


class AdminSessions:
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


class MailsWithoutAccount:
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
