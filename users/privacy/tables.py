"""Which tables hold what belongs to a viewer.

They are found by Django's relations and not listed, so that a new table is in the export from its
first day. What is left out is listed, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from django.apps import apps
from django.db.models import Field, ForeignKey, Model, Q, QuerySet

from users.models import User

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
class Table:
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
    parts: Sequence[Table]

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

    def with_parts(self) -> Iterator[Table]:
        yield self
        for part in self.parts:
            yield from part.with_parts()


@cache
def personal_tables() -> Sequence[Table]:
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
) -> Table:
    parts = []
    for other in apps.get_models(include_auto_created=True):
        # What names a viewer itself is that viewer's: who follows a list is not a part of it.
        if other not in known and (references := _references(other, model)):
            owner = references[0]
            known.add(other)
            further = [f"{owner.name}__{path}" for path in paths]
            keys = [f"{owner.name}__{key}" for key in order]
            parts.append(_table(other, [owner], further, [*keys, "pk"], known))
    return Table(_name(model, owners[0]), model, owners, paths, order, parts)


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
