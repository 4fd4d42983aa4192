"""The log and the commands tell why servers refuse, not where they are."""

from __future__ import annotations

import pytest

from cinema.logs import without_addresses


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'connection failed: connection to server at "10.0.0.7", port 5433 failed: '
            'FATAL:  password authentication failed for user "kino"',
            "connection failed: connection to server at …, port … failed: "
            "FATAL:  password authentication failed for user …",
        ),
        (
            'connection to server at "db.kino" (10.0.0.7), port 5433 failed: Connection refused',
            "connection to server at …, port … failed: Connection refused",
        ),
        (
            'connection to server on socket "/run/kino/.s.PGSQL.5432" failed: No such file',
            "connection to server on socket … failed: No such file",
        ),
        (
            "failed to resolve host 'Zk3': [Errno -2] Name or service not known",
            "failed to resolve host …: [Errno -2] Name or service not known",
        ),
        (
            "Multiple connection attempts failed. All failures were:\n"
            "- host: 'kino', port: 5433, hostaddr: '::1': refused",
            "Multiple connection attempts failed. All failures were:\n"
            "- host: …, port: …, hostaddr: …: refused",
        ),
        ('FATAL:  database "kino" does not exist', "FATAL:  database … does not exist"),
        (
            "Error 111 connecting to kino:6379. Connection refused.",
            "Error 111 connecting to …. Connection refused.",
        ),
        (
            "Cannot connect to sentinel://:secret@one:26379/1;sentinel://:secret@two:26379/1",
            "Cannot connect to sentinel://…",
        ),
        (
            "REDIS_URL=rediss+sentinel://:secret@one,two/films?sentinel_password=secret is wrong",
            "REDIS_URL=rediss+sentinel://… is wrong",
        ),
        (
            "Cannot connect to amqp://kino:**@broker.kino:5672//: [Errno 111] Connection refused.",
            "Cannot connect to amqp://… [Errno 111] Connection refused.",
        ),
        ("GET /api/v1/movies failed", "GET /api/v1/movies failed"),
        ('the column "port 5" is of user "kino"', 'the column "port 5" is of user "kino"'),
    ],
)
def test_an_error_is_told_without_the_address(said: str, told: str) -> None:
    assert without_addresses(said) == told
