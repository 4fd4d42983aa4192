"""The tables with a viewer's data.

They are found by Django's relations and not listed, so that a new table is in the export from its
first day. What is left out is listed, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

from django.apps import apps
from django.db.models import Field, ForeignKey, Model, Q, QuerySet
from django.utils.module_loading import autodiscover_modules
from django_celery_results.models import TaskResult

from cinema.audit.models import AuditEntryKeeper
from users.admin_sessions import admin_sessions, end_admin_sessions
from users.models import MailRequest, User

_ANOTHER = "Another viewer, who need not have agreed to be seen."
_POSITION = "A position in the log of the database, from which replicas read."
_HASH_OF_TITLE = "A hash of the title, the year or the TMDb id, which are in the export."

#: Columns that are not in the export, with the reason, which the export states.
LEFT_OUT: Mapping[str, str] = {
    "users.User.password": "A hash, which would help an attacker to guess the password.",
    "users.Session.wal_position": _POSITION,
    "users.Session.wal_taste_version": _POSITION,
    "users.RefreshToken.token_hash": "A hash, by which the server recognises the token.",
    "users.RefreshToken.successor_salt": "Together with a spent token it makes the next one.",
    "users.SecondFactor.secret": "It would let anybody make codes for the sign-in.",
    "users.RecoveryCode.code_hash": "A hash, by which the server recognises the code.",
    "users.MailedToken.token_hash": "A hash, by which the server recognises the token.",
    "recommendations.Neighbour.user": _ANOTHER,
    "recommendations.Neighbour.other": _ANOTHER,
    "recommendations.PendingImport.film": _HASH_OF_TITLE,
    "recommendations.PendingImport.title_keys": _HASH_OF_TITLE,
}


@dataclass(frozen=True)
class PersonalTable:
    """A table whose rows belong to a viewer, directly or as parts of a row that does.

    Attributes:
        name: The key in the export.
        owners: The foreign keys to the viewer; in a table of parts, the one to their whole.
        paths: The lookups from a row to the viewer.
        order: The order of the rows: parts come in the order of their wholes.
        parts: The tables with parts of this table's rows.
    """

    name: str
    model: type[Model]
    owners: Sequence[ForeignKey[Any, Any]]
    paths: Sequence[str]
    order: Sequence[str]
    parts: Sequence[PersonalTable]

    @property
    def fields(self) -> list[Field[Any, Any]]:
        """The exported columns. A single owner is left out, as it is the viewer."""
        known = set(self.owners) if len(self.owners) == 1 else set()
        label = self.model._meta.label
        return [
            field
            for field in self.model._meta.concrete_fields
            if field not in known and f"{label}.{field.name}" not in LEFT_OUT
        ]

    def rows_of(self, user_id: int) -> QuerySet[Any]:
        mine = Q(*((path, user_id) for path in self.paths), _connector=Q.OR)
        return self.model._default_manager.filter(mine).order_by(*self.order)


@cache
def personal_tables() -> Sequence[PersonalTable]:
    """All tables except the accounts themselves, each with the tables of its parts."""
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
        # A row with a key to a viewer is that viewer's: a follower is not a part of a playlist.
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
    """The name of the rows as their owner knows them: `favourites`, `entries`, `groups`."""
    if between := model._meta.auto_created:
        fields: Iterable[Any] = cast("type[Model]", between)._meta.many_to_many
        return str(next(field.name for field in fields if field.remote_field.through is model))
    accessor = owner.remote_field.get_accessor_name() or "+"
    if accessor.endswith("+"):  # There is no reverse accessor.
        return str(model._meta.verbose_name_plural).replace(" ", "_")
    return accessor.removesuffix("_set")


class PersonalDataSource(Protocol):
    """Personal data that cannot be found by foreign keys.

    Attributes:
        name: The key in the export.
    """

    name: str

    def export(self, user: User) -> Iterable[Mapping[str, Any]]:
        """The rows, read in the export's transaction, which is read-only."""

    def erase(self, user: User) -> None:
        """Delete the rows, in the transaction that erases the viewer and before the viewer's row.

        Data outside the database is deleted after the commit.
        """


_sources: list[PersonalDataSource] = []


def register(*sources: PersonalDataSource) -> None:
    """Add sources to the export and to the erasure.

    An app calls it in its module `personal_data`, as it registers with Django's admin in `admin`.
    """
    _sources.extend(sources)


@cache
def personal_data_sources() -> Sequence[PersonalDataSource]:
    """The sources of all apps."""
    autodiscover_modules("personal_data")
    return tuple(_sources)


class AdminSessions:
    """Sessions of the admin site. Their user is known from their signed content alone."""

    name = "office_sessions"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        for session in admin_sessions(user):
            yield {"expires_at": session.expire_date}  # The key would open the admin site.

    def erase(self, user: User) -> None:
        end_admin_sessions(user)


class MailsWithoutAccount:
    """Mails requested without a sign-in: they name an address and no account."""

    name = "mails_to_your_address"

    def export(self, user: User) -> Iterable[Mapping[str, Any]]:
        found = _mails_to(user).order_by("pk")
        return found.values("kind", "created_at", "attempts", "due_at").iterator()

    def erase(self, user: User) -> None:
        _mails_to(user).delete()


def _mails_to(user: User) -> QuerySet[MailRequest]:
    return MailRequest.objects.filter(user=None, email=user.email)


class TaskResults:
    """Celery's records of tasks about a viewer.

    Such a task takes the id by the keyword `user_id`, which tests/test_erasure.py checks.
    """

    name = "tasks"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        columns = ("task_name", "status", "date_created", "date_done")
        yield from _results_of(user).order_by("pk").values(*columns).iterator()

    def erase(self, user: User) -> None:
        _results_of(user).delete()


def _results_of(user: User) -> QuerySet[TaskResult]:
    """Find them by the id and by the address, which a mail server repeats when it refuses it."""
    columns = ("task_args", "task_kwargs", "result", "traceback", "meta")
    named = Q(task_kwargs__regex=rf"'user_id': {user.pk}\M")
    for column in columns:
        named |= Q(**{f"{column}__icontains": user.email})
    return TaskResult.objects.filter(named)


register(MailsWithoutAccount(), AdminSessions(), TaskResults(), AuditEntryKeeper())
