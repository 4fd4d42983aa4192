"""Audit entries for people: names instead of ids, times in the cinema's time zone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cinema.audit.models import AuditEntry

#: Columns that hold ids, with the model they refer to.
REFERENCES = {
    "movie_id": "movies.movie",
    "hall_id": "movies.hall",
    "genre_id": "movies.genre",
    "user_id": "users.user",
}
#: Rows without a name of their own.
NAMED_BY_MOVIE = {AuditEntry.Model.SCREENING, AuditEntry.Model.PROMOTION}
#: The length at which a value is cut.
MAX_SHOWN = 120


@dataclass(frozen=True)
class ColumnChange:
    column: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class PresentedEntry:
    entry: AuditEntry
    who: str
    what: str
    changes: list[ColumnChange]


def present(entries: Sequence[AuditEntry]) -> list[PresentedEntry]:
    """At most one query for each model that is named, however many entries there are."""
    names = _names(entries)
    return [
        PresentedEntry(
            entry,
            _author_name(entry, names),
            _object_name(entry, names),
            list(_changes(entry, names)),
        )
        for entry in entries
    ]


Names = dict[tuple[str, int], str]


def _names(entries: Iterable[AuditEntry]) -> Names:
    wanted: dict[str, set[int]] = {}
    for entry in entries:
        if entry.user_id:
            wanted.setdefault("users.user", set()).add(entry.user_id)
        if (whole := f"movies.{entry.model}") in {"movies.movie", "movies.hall", "movies.genre"}:
            wanted.setdefault(whole, set()).add(entry.object_id)
        if entry.model == AuditEntry.Model.USER:
            wanted.setdefault("users.user", set()).add(entry.object_id)
        if entry.movie_id:
            wanted.setdefault("movies.movie", set()).add(entry.movie_id)
        for column, label in REFERENCES.items():
            for row in (entry.before, entry.after):
                if row and isinstance(row.get(column), int):
                    wanted.setdefault(label, set()).add(row[column])
    return {
        (label, pk): name
        for label, ids in wanted.items()
        for pk, name in _names_of(apps.get_model(label), ids)
    }


def _names_of(model: type[Model], ids: set[int]) -> Iterable[tuple[int, str]]:
    field = "email" if model is get_user_model() else "name"
    return model._default_manager.filter(pk__in=ids).values_list("pk", field)


def _author_name(entry: AuditEntry, names: Names) -> str:
    if entry.user_id is None:
        return ""
    return names.get(("users.user", entry.user_id), f"user {entry.user_id}, erased")


def _object_name(entry: AuditEntry, names: Names) -> str:
    """The row's present name, else the name in the entry."""
    kind = str(entry.get_model_display())
    row = entry.after or entry.before or {}
    label = "users.user" if entry.model == AuditEntry.Model.USER else f"movies.{entry.model}"
    name = names.get((label, entry.object_id)) or row.get("name")
    if entry.model in NAMED_BY_MOVIE and entry.movie_id:
        name = names.get(("movies.movie", entry.movie_id))
    return f"{kind} {name}" if name and name != "…" else f"{kind} {entry.object_id}"


def _changes(entry: AuditEntry, names: Names) -> Iterable[ColumnChange]:
    before, after = entry.before or {}, entry.after or {}
    for column in sorted({*before, *after}):
        # A new row's empty columns are left out.
        if entry.action == AuditEntry.Action.UPDATE or before.get(column) or after.get(column):
            yield ColumnChange(
                column.removesuffix("_id").replace("_", " "),
                _text(column, before.get(column), names) if entry.before is not None else None,
                _text(column, after.get(column), names) if entry.after is not None else None,
            )


def _text(column: str, value: Any, names: Names) -> str:
    if value in (None, "", []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        text = ", ".join(map(str, value))
    elif column in REFERENCES and isinstance(value, int):
        text = names.get((REFERENCES[column], value), str(value))
    elif column.endswith("_at") and (moment := _parse_moment(value)):
        text = f"{timezone.localtime(moment):%a %d %b %Y, %H:%M}"
    else:
        text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _parse_moment(value: object) -> datetime | None:
    return parse_datetime(value) if isinstance(value, str) else None
