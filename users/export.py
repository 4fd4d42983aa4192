"""Everything that is kept about a viewer, as one JSON document."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from tempfile import TemporaryFile
from typing import IO, Any

import orjson
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import Case, F, Field, ForeignKey, When
from django.db.models.expressions import Combinable
from django.db.models.functions import JSONObject
from django.http.response import HttpResponseBase
from django.utils import timezone

from cinema import replicas
from movies.media.serving import FilePartResponse
from users.models import User
from users.personal_data import LEFT_OUT, PersonalTable, personal_data_sources, personal_tables

FORMAT = "cinema-personal-data"
VERSION = 1
#: Rows fetched at once.
CHUNK = 2000


def export_response(user: User) -> HttpResponseBase:
    """Stream the document as a download that no cache keeps. The response closes the file."""
    file = write_export(user)
    size = os.fstat(file.fileno()).st_size
    return FilePartResponse(
        file,
        size,
        content_type="application/json",
        headers={
            "Content-Length": str(size),
            "Content-Disposition": 'attachment; filename="cinema-export.json"',
            # The middleware sets it on responses that are not streamed.
            "Cache-Control": "no-store",
        },
    )


def write_export(user: User) -> IO[bytes]:
    """The document in a temporary file, at its beginning. The caller closes it.

    A slow client that is written to directly would hold a connection and its transaction, and an
    error half-way would cut a document that has begun.
    """
    file = TemporaryFile()  # noqa: SIM115 - the caller closes it
    alone = not connection.in_atomic_block
    try:
        database = replicas.alias()
        with transaction.atomic(using=database):
            if alone:  # One snapshot of all tables.
                with connections[database].cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            file.writelines(_document(user))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _document(user: User) -> Iterator[bytes]:
    header = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": timezone.now(),
        "cinema": settings.CINEMA_NAME,
        "left_out": LEFT_OUT,
    }
    yield orjson.dumps(header)[:-1]
    account = PersonalTable("account", User, [], ["pk"], ["pk"], [])
    for _, row in _rows(account, user.pk):
        yield b',\n"account":' + _json(row)
    for table in personal_tables():
        yield from _section(table.name, (row for _, row in _rows(table, user.pk)))
    for source in personal_data_sources():
        yield from _section(source.name, source.export(user))
    yield b"}\n"


def _section(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b",\n" + orjson.dumps(name) + b":["
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + _json(row)
    yield b"]"


def _json(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, default=_as_text)


def _as_text(value: object) -> str:
    if isinstance(value, bytes | memoryview):  # such as a hash or a salt
        raise TypeError("Bytes are not exported: add their column to LEFT_OUT.")
    return str(value)


def _rows(table: PersonalTable, user_id: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each row with its parts in it, preceded by the key of the row that it is a part of.

    Parts come from a query of their own in the same order, and each row takes its share. So there
    is one query for each table, whatever the number of rows.
    """
    parts = [_Parts(part, user_id) for part in table.parts]
    columns = [(field.name, dict(field.flatchoices)) for field in table.fields]
    owner = table.owners[0].attname if table.owners else "pk"
    found = table.rows_of(user_id).values_list("pk", owner, *map(_readable, table.fields))
    for pk, owner_id, *values in found.iterator(chunk_size=CHUNK):
        row = {
            name: choices.get(value, value) if choices else value
            for (name, choices), value in zip(columns, values, strict=True)
        }
        yield owner_id, row | {part.name: part.of(pk) for part in parts}


class _Parts:
    def __init__(self, table: PersonalTable, user_id: int) -> None:
        self.name = table.name
        self._groups = groupby(_rows(table, user_id), key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, pk: object) -> list[dict[str, Any]]:
        """The parts of a row. The rows must come in order."""
        if self._next is None or self._next[0] != pk:
            return []
        rows = [row for _, row in self._next[1]]
        self._next = next(self._groups, None)
        return rows


def _readable(field: Field[Any, Any]) -> Combinable:
    """The column; a foreign key with the name of the row that it refers to."""
    if not isinstance(field, ForeignKey):
        return F(field.attname)
    found = When(
        **{f"{field.name}__isnull": False}, then=JSONObject(id=field.attname, **_called(field))
    )
    return Case(found)


def _called(field: ForeignKey[Any, Any]) -> dict[str, str | Combinable]:
    """The columns that name the referred row; none if its id is enough."""
    path = field.name
    match field.related_model._meta.label:
        case "movies.Movie":
            return {"name": f"{path}__name", "release_year": f"{path}__release_year"}
        case "movies.Genre":
            return {"name": f"{path}__name"}
        case "movies.Screening":
            return {"starts_at": f"{path}__starts_at", "hall": f"{path}__hall__name"}
        case "users.Playlist":
            # The owner may have made the playlist private meanwhile.
            return {"name": Case(When(**{f"{path}__is_public": True}, then=F(f"{path}__name")))}
    return {}
