"""Servers that are away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from django.db import OperationalError, connection
from psycopg_pool import ConnectionPool

from cinema.development.processes import wait_for


@contextmanager
def database_refusing() -> Iterator[None]:
    """The server ends every session of the database and lets nobody in, as in a fail-over.

    A request waits at most as long for a connection as it does by the product's default.
    """
    pool: ConnectionPool[Any] = cast("Any", connection).pool
    patience, pool.timeout = pool.timeout, min(pool.timeout, 2)
    name = connection.settings_dict["NAME"]
    with _server() as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            _end_sessions(server)
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            connection.close()
            try:
                assert wait_for(_connects, timeout_s=60)  # the pool pauses between its attempts
            finally:
                pool.timeout = patience


def end_sessions() -> None:
    """The server ends every session of the database, and lets others in."""
    with _server() as server:
        _end_sessions(server)


def _server() -> psycopg.Connection[Any]:
    """A session of another database of the server."""
    parameters = {
        **{key: value for key, value in connection.get_connection_params().items()
           if key in ("user", "password", "host", "port") and value},
        "dbname": "postgres",
    }  # fmt: skip
    return psycopg.connect(**parameters, autocommit=True)


def _end_sessions(server: psycopg.Connection[Any]) -> None:
    """Wait for the end of each: until then a session may still answer."""
    server.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s",
        [connection.settings_dict["NAME"]],
    )


def _connects() -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True
