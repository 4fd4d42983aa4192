"""Child processes that end with their parent, and what an earlier parent left of them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from cinema.home import DIRECTORY_MODE, FILE_MODE

#: In the environment of every child, with the CINEMA_HOME that it belongs to.
MARK = "CINEMA_CHILD_OF"
#: The largest size of a log. One older log of up to twice the size is kept: 180 MB for six logs.
LOG_LIMIT_BYTES = 10 * 1024 * 1024

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class SystemAccount:
    """The user that a child runs as, where it may not run as the parent's."""

    uid: int
    gid: int


@dataclass
class Child:
    """A program in a session of its own, with its output in a log file."""

    name: str
    command: Sequence[str]
    home: Path
    stop_signal: signal.Signals = signal.SIGTERM
    account: SystemAccount | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def pid(self) -> int:
        return self._popen.pid if self._popen else 0

    def start(self) -> None:
        """Start the program.

        Raises:
            OSError: There is no such program, or it may not be run.
        """
        self.log.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self.rotate_log()
        account = self.account
        # For appending: after a rotation, which truncates it, the program goes on at its beginning.
        with open(self.log, "ab", opener=partial(os.open, mode=FILE_MODE)) as log:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                # A session of its own: Ctrl-C reaches the supervisor alone, which ends them all.
                start_new_session=True,
                env={**os.environ, **self.environment, MARK: str(self.home)},
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent(self.stop_signal, os.getpid()),
            )

    def rotate_log(self) -> None:
        """Move a log that has become large to `.log.1`, in place of an older one.

        It is copied and truncated, as the program holds it open. What is written between the two
        is lost. Where the disk is full, the log is lost: room for the servers' data is worth more.
        """
        try:
            if self.log.stat().st_size <= LOG_LIMIT_BYTES:
                return
        except OSError:  # there is none
            return
        older = self.log.with_suffix(".log.1")
        try:
            with self.log.open("rb") as source:
                older.unlink(missing_ok=True)
                with open(older, "xb", opener=partial(os.open, mode=FILE_MODE)) as target:
                    # Not to its end, which moves away while the program writes.
                    target.write(source.read(2 * LOG_LIMIT_BYTES))
        except OSError:
            with suppress(OSError):
                older.unlink(missing_ok=True)
        with suppress(OSError):
            os.truncate(self.log, 0)

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll() if self._popen else None

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Signal the program itself."""
        if self._popen and self.is_running():
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End the program and whatever it has started, at once."""
        if self._popen:
            # Postgres gives each child a session of its own, and a stopped one would stay: the
            # next server then finds its memory in use and does not start.
            started = self._descendants() if self.is_running() else []
            for process in started:
                _quietly(process.kill)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def last_lines(self, count: int = 15) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def die_with_parent(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    """Ask Linux to signal the child when its parent dies, however it dies. None elsewhere."""
    if (libc := _libc) is None:
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return ask


def stop(children: Sequence[Child], *, timeout_s: float) -> None:
    """End all of them together: politely, then at once for those that still run in the end."""
    for child in children:
        child.signal(child.stop_signal)
    wait_for(lambda: not any(child.is_running() for child in children), timeout_s=timeout_s)
    for child in children:
        child.kill()


def wait_for(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.02) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def end_leftovers(home: Path) -> int:
    """End what a killed supervisor of this home has left; returns how many processes that were."""
    left = [process for process in psutil.process_iter() if _belongs_to(process, home)]
    for process in left:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(left, timeout=2)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=2)
    return len(left)


def _belongs_to(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(home) and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False


def _quietly(action: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()
