"""A whole Cinema, as `make run` starts it, for the tests that need one."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
from django.db import connection

from cinema.development.processes import MARK, wait_for
from cinema.home import PASSABLE_MODE, socket_paths
from tests.environment import SHARED

ROOT = Path(__file__).resolve().parent.parent
#: More than a slow and busy machine needs; a test that passes waits for no limit to pass.
PATIENCE_S = 300


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections while the caller starts."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def command_of(process: psutil.Process | None) -> list[str]:
    """The command line; empty once the process has ended."""
    with suppress(psutil.NoSuchProcess):  # a zombie too
        return process.cmdline() if process else []
    return []


def new_home(name: str = "home") -> Path:
    """A path for a home that other accounts can reach, unlike pytest's own temporary ones."""
    directory = Path(tempfile.mkdtemp(prefix="cinema-test-"))
    directory.chmod(0o755)
    return directory / name


def filled_home(name: str = "home") -> Path:
    """A home as the first start leaves it: with the demonstration and its release.

    The first start takes most of its time for them, so a run makes them once and copies them.
    """
    filled = SHARED / "a filled home"
    with (SHARED / "filled.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not filled.exists():
            unfinished = RunningCinema(SHARED / "an unfinished home")
            unfinished.home.mkdir()
            # PostgreSQL's account must pass. Else its data lie elsewhere, and copies share them.
            unfinished.home.chmod(PASSABLE_MODE)
            subprocess.run(
                [sys.executable, "manage.py", "prepare", "--demonstrate"],
                cwd=ROOT,
                env=unfinished.environment(),
                check=True,
            )
            assert not (unfinished.home / "postgres").is_symlink()
            unfinished.home.rename(filled)
    home = new_home(name)
    # Unlike shutil, it keeps the owner of the data: PostgreSQL's account.
    subprocess.run(["cp", "-a", str(filled), str(home)], check=True)
    return home


def database_of_this_test() -> dict[str, str]:
    """The variable by which another process uses the database of this test.

    Cache and broker follow from the environment of the run.
    """
    database = connection.settings_dict
    account = quote(database["USER"]) + (f":{quote(p)}" if (p := database["PASSWORD"]) else "")
    where = urlencode({"host": database["HOST"], "port": database["PORT"] or 5432})
    return {"DATABASE_URL": f"postgres://{account}@/{quote(database['NAME'])}?{where}"}


@contextmanager
def running_worker(
    directory: Path, addresses: Mapping[str, str], *arguments: str
) -> Iterator[Path]:
    """A worker with the product's settings on the database of this test; yields its log.

    Args:
        addresses: REDIS_URL and CELERY_BROKER_URL, or one of them.
    """
    log = directory / "worker.log"
    own = {"CINEMA_HOME": str(directory / "home"), "DJANGO_SETTINGS_MODULE": "cinema.settings"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cinema.programs", "worker", *arguments],
            cwd=ROOT,
            env={**os.environ, **database_of_this_test(), **own, **addresses},
            stdout=output,
            stderr=output,
        )
    try:
        yield log
    finally:
        process.kill()
        process.wait()


@dataclass
class RunningCinema:
    """`manage.py up` in a process of its own, with its output in a file."""

    home: Path = field(default_factory=new_home)
    port: int = field(default_factory=free_port)
    arguments: Sequence[str] = ()
    settings: str = "cinema.settings"
    #: The directory of the code.
    code: Path = ROOT
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> Path:
        return self.home.with_name(f"{self.home.name}.out")

    def environment(self) -> dict[str, str]:
        """The developer's, without outside servers: this is the embedded mode."""
        # Empty variables take precedence over `.env`.
        outside = dict.fromkeys(
            ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY"), ""
        )
        kept = {k: v for k, v in os.environ.items() if k[:4] != "XDG_"}
        kept |= {**outside, "DJANGO_SETTINGS_MODULE": self.settings}
        return kept | {"CINEMA_HOME": str(self.home), "PORT": str(self.port), "WEB_WORKERS": "2"}

    def launch(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *self.arguments],
                cwd=self.code,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self._process

    def start(self) -> RunningCinema:
        process = self.launch()
        up = wait_for(
            lambda: "is running. Ctrl-C" in self.said() or process.poll() is not None,
            timeout_s=PATIENCE_S,
            every_s=0.1,
        )
        said = self.said()
        if not up or process.poll() is not None:
            self.stop()
            raise AssertionError(said)
        return self

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def signal(self, number: signal.Signals) -> int:
        """Signal the supervisor and wait for its end; returns the exit code."""
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(timeout=PATIENCE_S)

    def stop(self) -> None:
        """End it and delete what it had."""
        if self._process and self._process.poll() is None:
            self.signal(signal.SIGTERM)
        shutil.rmtree(self.home.parent, ignore_errors=True)
        sockets = socket_paths(self.home).directory
        for metrics in sockets.parent.glob(f"{sockets.name}-metrics-*"):
            shutil.rmtree(metrics, ignore_errors=True)

    def tree(self) -> list[psutil.Process]:
        """The supervisor and all that it has started, PostgreSQL's own processes too."""
        assert self._process
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def processes(self, name: str | None = None) -> list[psutil.Process]:
        """The processes of this home; with a name, the leader of that child's session."""
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                mine = process.environ().get(MARK) == str(self.home)
            except (psutil.Error, OSError):
                continue
            if (mine or self._names_my_sockets(command)) and (name is None or name in command):
                found.append(process)
        return found

    def _names_my_sockets(self, command: str) -> bool:
        return str(socket_paths(self.home).directory) in command

    def get(self, path: str, token: str | None = None) -> Any:
        """The JSON at the path. urllib's HTTPError passes through."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def post(self, path: str, payload: Any = None, token: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = b"" if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(  # noqa: S310
            self.url + path, data=body, headers=headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
