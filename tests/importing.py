"""Calls and files that bring films in, and what came of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from tests.builders import Client
from tests.catalogue import film

TABLES = ("movies_movie", "movies_movie_genres", "movies_genre", "movies_catalogueversion")


def imported(staff: Client, *movies: Any, **query: Any) -> dict[str, Any]:
    """The answer to a call with these movies."""
    answer = staff.send("POST", "/movies/import", {"movies": movies}, query=query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def outcomes(answer: dict[str, Any]) -> list[str]:
    """The outcome of each row, in the order of the rows; of a refused one the reason."""
    told = {row["row"]: row["outcome"] for row in answer["movies"]}
    told |= {row["row"]: row["reason"] for row in answer["refused"]}
    return [told[number] for number in sorted(told)]


def json_lines(path: Path, *rows: Any) -> Path:
    """A file of these rows; text and bytes go in as they are."""
    written = [
        row
        if isinstance(row, bytes)
        else (row if isinstance(row, str) else json.dumps(row)).encode()
        for row in rows
    ]
    path.write_bytes(b"\n".join([*written, b""]))
    return path


def films(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [film(name=f"Film {number}", **fields) for number in range(1, count + 1)]


def run(path: Path | str, *options: str) -> tuple[str, str]:
    """The command's output, and its complaints at the end or on the way."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_movies", str(path), *options, stdout=out, stderr=err)
    except CommandError as error:
        err.write(f"{error}\n")
    return out.getvalue(), err.getvalue()


def exported(path: Path, *options: str) -> bytes:
    """The file that the command writes."""
    call_command("export_movies", str(path), *options, verbosity=0)
    return path.read_bytes()


def every_row() -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables concerned; `ctid` and `xmax` show an update to the same values."""
    rows = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT ctid, xmax::text, t.* FROM {table} t ORDER BY t.id")  # noqa: S608
            rows[table] = cursor.fetchall()
    return rows
