"""The comparison for an import: the same rows by COPY alone."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
from django.db import connection, transaction

#: In the order of their foreign keys.
TABLES = ("movies_genre", "movies_movie", "movies_movie_genres")
FIND_COLUMNS = """
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


def empty_catalogue() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def write_changed(*, source: str, target: str) -> None:
    """Write the films of a file again, each with another overview."""
    with open(source, "rb") as lines, open(target, "wb") as changed:
        for line in lines:
            film = orjson.loads(line)
            film["overview"] += " Again."
            changed.write(orjson.dumps(film) + b"\n")


def save_tables(*, folder: str) -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            with (
                Path(folder, table).open("wb") as file,
                cursor.copy(f"COPY {_columns(table)} TO STDOUT") as copy,
            ):
                for block in copy:
                    file.write(block)


def measure_copy(*, folder: str) -> float:
    """Seconds until the saved tables stand again, with all indexes and triggers."""
    empty_catalogue()
    saved = {table: Path(folder, table).read_bytes() for table in TABLES}
    into = {table: f"COPY {_columns(table)} FROM STDIN" for table in TABLES}
    started_at = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table in TABLES:
            with cursor.copy(into[table]) as copy:
                copy.write(saved[table])
    return time.perf_counter() - started_at


def _columns(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(FIND_COLUMNS, [table])
        (columns,) = cursor.fetchone()
    return f"{table} ({columns})"
