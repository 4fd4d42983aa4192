"""The commands and the health checks of compose.yaml and of the units, run as they are written."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest

from cinema.development.processes import wait_for
from tests import compose, units
from tests.containers import PASSWORD, RABBITMQ, UID, Containers
from tests.running import ROOT, free_port, new_home

OURS = ("web", "worker", "trainer", "beat")


@pytest.fixture(scope="module")
def servers() -> Iterator[Containers]:
    """PostgreSQL, Valkey, and the overlay of RabbitMQ where that is installed; a database."""
    found = Containers()
    ports = found.ports
    found.env_file = {
        "SECRET_KEY": "only for the tests",
        "POSTGRES_PASSWORD": PASSWORD,
        "REDIS_PASSWORD": PASSWORD,
        "DATABASE_URL": f"postgres://cinema@127.0.0.1:{ports['postgres']}/cinema",
        "REDIS_URL": f"redis://127.0.0.1:{ports['valkey']}/0",
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{ports['valkey']}/1",
        "ALLOWED_HOSTS": ".cinema.example",
    }
    try:
        _start_servers(found)
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def containers(servers: Containers) -> Containers:
    """All services."""
    prepared = servers.run("prepare")
    assert prepared.returncode == 0, prepared.stderr
    for name in OURS:
        servers.start(name)
    servers.wait_until_healthy(*OURS)
    return servers


def _start_servers(containers: Containers) -> None:
    containers.start_postgres()
    containers.start("valkey")
    if RABBITMQ.exists():
        containers.overlays = ("rabbitmq",)
        containers.env_file |= {
            "CELERY_BROKER_URL": f"amqp://cinema@127.0.0.1:{containers.ports['rabbitmq']}//",
            "CELERY_BROKER_PASSWORD": PASSWORD,
        }
        containers.start("rabbitmq")
        containers.wait_until_healthy("rabbitmq")
    containers.wait_until_healthy("postgres", "valkey")
    with psycopg.connect(
        host="127.0.0.1",
        port=containers.ports["postgres"],
        user="cinema",
        password=PASSWORD,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute("CREATE DATABASE cinema")


def test_each_program_is_healthy(containers: Containers) -> None:
    """The password has characters that an address must encode, and ALLOWED_HOSTS is set."""
    for name in OURS:
        assert wait_for(lambda: containers.check(name).returncode == 0, timeout_s=120)  # noqa: B023
        done = containers.check(name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    port = containers.ports["web"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/programme")
    assert wait_for(lambda: _is_ready(port), timeout_s=120, every_s=1)


def _is_ready(port: int) -> bool:
    """Whether database, cache, broker and workers answer; on a busy machine not at once."""
    url = f"http://127.0.0.1:{port}/health/ready"
    request = urllib.request.Request(url, headers={"Host": "cinema.example"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.skipif(not RABBITMQ.exists(), reason="RabbitMQ is not installed here")
def test_the_broker_is_rabbitmq(containers: Containers) -> None:
    assert "Connected to amqp://" in containers.said("worker")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run them as another account")
def test_no_program_writes_into_the_code(containers: Containers) -> None:
    """They run as an account that may not; what they write lies in CINEMA_HOME."""
    for name in OURS:
        said = containers.said(name)
        assert "Permission denied" not in said
        assert "Read-only file system" not in said


def test_programs_keep_their_files_private_by_themselves(containers: Containers) -> None:
    """Nothing has set a mask for them, as `make run` and the units do."""
    files = [*containers.home.glob("beat-schedule*"), *containers.home.glob("heartbeats/*")]
    assert {file.name.partition("@")[0].partition(".")[0] for file in files} == {
        "beat-schedule", "beat", "worker", "trainer",
    }  # fmt: skip
    assert not [file for file in files if file.stat().st_mode & 0o077]


def test_a_health_check_costs_little(containers: Containers) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in OURS:
        containers.check(name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent_s / len(OURS) < 0.25


@pytest.mark.real_clock
def test_a_health_check_fails_without_its_program(containers: Containers) -> None:
    for name in ("web", "beat", "worker", "trainer"):
        assert containers.end(name) in {0, -15, 143}, containers.said(name)
    assert "no answer" in containers.check("web").stderr
    for name in ("worker", "trainer"):
        assert "no heartbeat" in containers.check(name).stderr
    file = next((containers.home / "heartbeats").glob("beat@*"))
    old = time.time() - 61
    os.utime(file, (old, old))
    [age_s] = re.findall(r"the last heartbeat is (\d+) s old", containers.check("beat").stderr)
    assert 61 <= int(age_s) < 180


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a unit its file system")
def test_the_units_run_on_a_read_only_file_system(servers: Containers) -> None:
    """The programs of deploy/systemd, as the account of the units."""
    variables = servers.env_file | {"PORT": str(free_port())}
    del variables["ALLOWED_HOSTS"]
    home = new_home("units")
    home.mkdir()
    os.chown(home, UID, UID)
    enter = units.in_its_file_system(home)
    environments = {name: units.environment(name, variables) for name in units.NAMES}
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        done = subprocess.run(
            [*enter, *units.command("prepare")],
            env=environments["prepare"], capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for name in OURS:
            with (home.parent / f"{name}.out").open("wb") as output:
                running[name] = subprocess.Popen(
                    [*enter, *units.command(name)],
                    env=environments[name], stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
        for name in OURS:
            check = [*enter, *units.command("web")[:1], "-IS", "cinema/healthcheck.py", name]
            said = (home.parent / f"{name}.out").read_text
            assert wait_for(
                lambda: subprocess.run(check, env=environments[name]).returncode == 0,  # noqa: B023
                timeout_s=500,
                every_s=3,
            ), said()
            assert "Read-only file system" not in said()
            assert "Permission denied" not in said()
        smoke = [sys.executable, "deploy/smoke_test.py", f"http://127.0.0.1:{variables['PORT']}"]
        subprocess.run(smoke, cwd=ROOT, check=True, timeout=120)
        for name, process in running.items():
            process.terminate()
            period_s = int(units.service(name)["TimeoutStopSec"][0])
            assert process.wait(timeout=period_s + 15) in {0, -15, 143}
    finally:
        # SIGKILL would leave the web's own processes.
        for process in running.values():
            process.terminate()
            process.wait(timeout=60)
        shutil.rmtree(home.parent)


def test_a_server_without_its_password_does_not_start() -> None:
    """It would else be open to every container of the network."""
    containers = Containers({"REDIS_URL": "redis://127.0.0.1/0"}, overlays=("rabbitmq",))
    try:
        for name in ("valkey", "rabbitmq"):
            assert containers.run(name).returncode != 0
    finally:
        containers.stop()


def test_commands_are_words_and_health_checks_are_of_a_shell() -> None:
    services = compose.services({})
    assert compose.command(services["web"]) == ["python", "-m", "cinema.programs", "web"]
    assert compose.health_command(services["web"])[:2] == ["sh", "-c"]
