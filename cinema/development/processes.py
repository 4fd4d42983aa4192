"""Child processes that end with their parent, and those that an earlier parent left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from cinema.home import DIRECTORY_MODE, FILE_MODE
from cinema.programs import die_with_parent

#: The environment variable that names the CINEMA_HOME of a child.
MARK = "CINEMA_CHILD_OF"
#: The largest size of a log. One older log of up to twice the size is kept: 180 MB for six logs.
LOG_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class SystemAccount:
    """The account of a child that may not run as the user of its parent."""

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
        # Opened to append: a rotation truncates the log, and the program then writes at its start.
        with open(self.log, "ab", opener=partial(os.open, mode=FILE_MODE)) as log:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                # With sessions of their own, Ctrl-C reaches the supervisor alone, which ends them.
                start_new_session=True,
                env={**os.environ, **self.environment, MARK: str(self.home)},
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent(self.stop_signal, os.getpid()),
            )

    def rotate_log(self) -> None:
        """Replace `.log.1` by a log that has become large.

        The log is copied and truncated, as the program holds it open. Lines that are written
        between the two are lost. If the disk is full, the log is lost: the servers' data need the
        room.
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
                    # The end of the file moves while the program writes.
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
            # Postgres gives each child a session of its own, and a stopped one would stay. The
            # next server would find its memory in use and not start.
            started = self._descendants() if self.is_running() else []
            for process in started:
                _unless_gone(process.kill)
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


def stop(children: Sequence[Child], *, timeout_s: float) -> None:
    """End all of them together: by their stop signals, and by SIGKILL after the time limit."""
    for child in children:
        child.signal(child.stop_signal)
    wait_for(lambda: not any(child.is_running() for child in children), timeout_s=timeout_s)
    for child in children:
        child.kill()


def wait_for(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.02) -> bool:
    """Wait for the condition; False if it did not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def end_leftovers(home: Path) -> int:
    """End the processes that a killed supervisor of this home has left; returns their number."""
    left = [process for process in psutil.process_iter() if _belongs_to(process, home)]
    for process in left:
        _unless_gone(process.terminate)
    _, alive = psutil.wait_procs(left, timeout=2)
    for process in alive:
        _unless_gone(process.kill)
    psutil.wait_procs(alive, timeout=2)
    return len(left)


def _belongs_to(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(home) and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False


def _unless_gone(action: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()
