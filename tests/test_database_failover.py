"""A primary and a replica behind one DATABASE_URL: the replica is promoted, and all go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import environ
import psycopg
import pytest
from django.conf import settings as product
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from cinema import leadership
from cinema.database import BoundedConnection, database_settings
from cinema.development.embedded_servers import Servers
from cinema.development.processes import wait_for
from cinema.leadership import Leadership
from tests.replication import Standby
from tests.running import ROOT, new_home

pytestmark = pytest.mark.skipif(
    not product.EMBEDDED_POSTGRES, reason="it needs the embedded server's programs"
)
#: A request waits two seconds for a connection, and so does each attempt to connect.
BACK_WITHIN_S = 30


@dataclass
class DatabasePair:
    servers: Servers
    standby: Standby

    @property
    def url(self) -> str:
        """Both addresses as libpq wants sockets: percent-encoded, in the place of hosts."""
        hosts = (str(self.servers.sockets.postgres), str(self.standby.directory))
        encoded = ",".join(quote(host, safe="") for host in hosts)
        return f"postgres://cinema@{encoded}/cinema?target_session_attrs=read-write"

    def fail_over(self) -> None:
        """Kill the primary and promote the replica, once it has all commits."""
        with psycopg.connect(host=str(self.servers.sockets.postgres), user="cinema") as primary:
            [inserted] = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or [""]
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{inserted}'"
        assert wait_for(lambda: self.standby.run(replayed)[0], timeout_s=60)
        [primary_child] = self.servers.children
        primary_child.kill()
        self.standby.promote()


@pytest.fixture
def databases() -> Iterator[DatabasePair]:
    servers = Servers(new_home(), postgres=True, valkey=False, durable=False)
    standby = Standby(str(servers.sockets.postgres))
    try:
        servers.start()
        standby.copy_primary()
        standby.start()
        yield DatabasePair(servers, standby)
    finally:
        standby.remove()
        servers.stop()


@pytest.fixture
def pooled(
    databases: DatabasePair, django_db_blocker: DjangoDbBlocker
) -> Iterator[BaseDatabaseWrapper]:
    """A connection of the product's pool to both."""
    entry = database_settings(
        environ.Env.db_url_config(databases.url),
        name="cinema", statement_timeout_s=15, pool_size=4,
    )  # fmt: skip
    with django_db_blocker.unblock():
        connection = ConnectionHandler({"default": entry})["default"]
        yield connection
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


def test_writes_go_to_the_promoted_replica_and_none_is_lost(
    databases: DatabasePair, pooled: BaseDatabaseWrapper
) -> None:
    execute(pooled, "CREATE TABLE rating (id int PRIMARY KEY)")
    insert = "INSERT INTO rating SELECT count(*) FROM rating"
    acknowledged = [n for n in range(50) if execute(pooled, insert)]
    databases.fail_over()
    lost_at = time.monotonic()
    assert wait_for(lambda: _writes(pooled, insert), timeout_s=BACK_WITHIN_S)
    print(f"written {time.monotonic() - lost_at:.1f} s after the loss")  # noqa: T201
    with pooled.cursor() as cursor:
        cursor.execute("SELECT id, pg_is_in_recovery() FROM rating ORDER BY id")
        assert cursor.fetchall() == [(n, False) for n in (*acknowledged, 50)]


@pytest.mark.parametrize("is_autocommit", [True, False])
def test_a_commit_that_no_replica_confirms_is_not_acknowledged(
    pooled: BaseDatabaseWrapper, settings: Settings, is_autocommit: bool
) -> None:
    """On the side of a divided network that lacks the replica: its primary still takes rows."""
    settings.STATEMENT_TIMEOUT_S = 1
    execute(pooled, "CREATE TABLE rating (id int PRIMARY KEY)")
    execute(pooled, "ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    execute(pooled, "SELECT pg_reload_conf()")
    with pooled.cursor() as cursor:
        cursor.execute("SET statement_timeout = '500ms'")
        cursor.execute("SET synchronous_commit = on")
        pooled.set_autocommit(is_autocommit)
        with pytest.raises(OperationalError, match="has not answered for 3 s"):  # noqa: PT012
            for number in range(1000):  # until the checkpointer has read the setting
                cursor.execute("INSERT INTO rating VALUES (%s)", [number])
                pooled.commit()  # without autocommit it is this that fails
                time.sleep(0.01)


def execute(connection: BaseDatabaseWrapper, statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()  # back into the pool, as after a request
    return True


def _writes(connection: BaseDatabaseWrapper, statement: str) -> bool:
    try:
        return execute(connection, statement)
    except OperationalError:
        connection.close()
        return False


def test_a_leader_leads_again_on_the_promoted_replica(
    databases: DatabasePair, pooled: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(alias: str) -> BoundedConnection:
        return BoundedConnection.connect(**pooled.get_connection_params(), autocommit=True)

    monkeypatch.setattr(leadership, "connect_for_checks", connect)
    leader, other = Leadership("a lock"), Leadership("a lock")
    assert leader.hold()
    assert not other.hold()
    databases.fail_over()
    assert not leader.hold()
    assert wait_for(lambda: leader.hold() or other.hold(), timeout_s=BACK_WITHIN_S)
    assert leader.hold() is not other.hold()
    for each in (leader, other):
        each.give_up()


@pytest.mark.scale
def test_commands_and_the_trainer_use_the_promoted_replica(
    databases: DatabasePair, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": databases.url, "CINEMA_HOME": str(tmp_path / "home"),
                 "DJANGO_SETTINGS_MODULE": "cinema.settings"},
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("migrate")
    databases.fail_over()
    run("backup", str(tmp_path / "backup.zip"))
    assert (tmp_path / "backup.zip").exists()
    run("train", "--force")
