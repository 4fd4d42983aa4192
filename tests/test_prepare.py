"""`manage.py prepare` on a database that is not there yet, and beside another one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from time import sleep
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command

from cinema.development.demonstration import is_empty
from cinema.development.embedded_servers import Servers
from cinema.health import missing_migrations
from cinema.locks import single_run
from tests.concurrency import and_disconnect
from tests.running import ROOT, new_home


def test_it_waits_for_a_database_that_starts_later() -> None:
    servers = Servers(new_home(), postgres=True, valkey=False)
    where = urlencode({"host": servers.sockets.postgres})
    variables = {
        "CINEMA_HOME": str(new_home()),
        "DATABASE_URL": f"postgres://cinema@/cinema?{where}",
        "DJANGO_SETTINGS_MODULE": "cinema.settings",
        "SECRET_KEY": "only for this test, and long enough for it",
    }
    with subprocess.Popen(
        [sys.executable, "manage.py", "prepare"],
        cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("Waiting for the database: ")
            servers.start()
            assert process.wait(timeout=300) == 0
        finally:
            process.kill()
            servers.stop()


def test_a_database_that_never_answers_is_an_error() -> None:
    variables = {
        "CINEMA_HOME": str(new_home()),
        "DATABASE_URL": "postgres://cinema@127.0.0.1:1/cinema",
        "DJANGO_SETTINGS_MODULE": "cinema.settings",
    }
    program = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "from cinema.management.commands import prepare\n"
        "prepare.DATABASE_WITHIN_S = 15\n"
        "call_command('prepare')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("Waiting for the database: ") == 1
    assert "The database does not answer: " in done.stderr


@pytest.mark.usefixtures("without_the_last_migration")
@pytest.mark.django_db(transaction=True)
def test_beside_another_one_it_waits_for_the_migrations(home: Path) -> None:
    said = StringIO()
    # After a failure the lock ends first. The pool then waits for prepare, which migrates.
    with ThreadPoolExecutor(1) as pool, single_run("cinema.prepare") as acquired:
        assert acquired
        preparing = pool.submit(and_disconnect, lambda: call_command("prepare", stdout=said))
        sleep(2)
        assert not preparing.done()
        call_command("migrate", verbosity=0)
        preparing.result(timeout=120)
    assert said.getvalue() == "Another process is preparing the database.\n"
    assert not missing_migrations()


@pytest.mark.django_db
def test_a_database_is_filled_by_one_process_at_a_time() -> None:
    with single_run("cinema.prepare"), pytest.raises(CommandError, match="Another process"):
        call_command("fill_demonstration")
    assert is_empty()
