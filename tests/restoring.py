"""Backups of the database of a test, restored into a database and a home of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import connection
from tqdm import tqdm

from cinema.backup.backups import back_up
from tests.running import ROOT, database_of_this_test
from tests.settings import RUN


class Bar(tqdm):  # type: ignore[type-arg]  # not generic at run time
    """Shows nothing, and calls `then` when the size of the backup is known."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__(disable=True)
        self.then = then

    def reset(self, total: float | None = None) -> None:
        self.then()


def backup_of_this_test(path: Path) -> Path:
    back_up(path, Bar())
    return path


@dataclass(frozen=True)
class Restored:
    """A home and an empty database on the server of the tests."""

    home: Path
    url: str
    parameters: dict[str, Any]

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            "CINEMA_HOME": str(self.home),
            "DJANGO_SETTINGS_MODULE": "cinema.settings",
        }

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.command(*arguments, **environment)
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(**self.parameters)


@contextmanager
def empty_place(home: Path) -> Iterator[Restored]:
    name = f"{RUN}-restored"
    parameters = {
        key: connection.settings_dict[setting]
        for key, setting in (
            ("host", "HOST"),
            ("port", "PORT"),
            ("user", "USER"),
            ("password", "PASSWORD"),
        )
        if connection.settings_dict[setting]
    }
    address = urlsplit(database_of_this_test()["DATABASE_URL"])
    with psycopg.connect(**parameters, dbname="postgres", autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield Restored(
                home, urlunsplit(address._replace(path=f"/{name}")), {**parameters, "dbname": name}
            )
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def contents(database: Any) -> dict[str, list[bytes]]:
    """The rows of each table in this database, in COPY's text, sorted."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        )
        found = {}
        for (table,) in cursor.fetchall():
            with cursor.copy(f'COPY (SELECT * FROM "{table}") TO STDOUT') as copy:  # noqa: S608
                found[table] = sorted(map(bytes, copy))
        return found


def schema(database: Any) -> set[tuple[str, str]]:
    """The constraints and indexes of this database, by name, as Postgres writes them.

    Postgres chooses the names of the indexes of partitions.
    """
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND convalidated"
            " UNION SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = tablename"
            " WHERE schemaname = 'public' AND NOT relispartition"
            r" UNION SELECT tablename, regexp_replace(indexdef, ' INDEX \S+', '') FROM pg_indexes"
            " JOIN pg_class ON relname = tablename WHERE schemaname = 'public' AND relispartition"
        )
        return {(name, definition) for name, definition in cursor.fetchall()}
