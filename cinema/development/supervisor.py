"""The supervisor of `manage.py up`: it starts the servers and the programs, and restarts them.

It also restarts children that hang: they run and do no work. All limits of hanging count looks, not
seconds. There are fewer looks, and so no restart, on a machine that is too busy to answer in time,
or after the supervisor itself was suspended.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import socket
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

from cinema.development import STAFF, VIEWER, SignIn
from cinema.development.embedded_servers import ServerFailed, Servers, lock_file, servers_lock
from cinema.development.processes import Child, end_leftovers, stop, wait_for
from cinema.home import ADDRESS_FILE, remove_access_of_others
from cinema.programs import ENVIRONMENT, enabled_commands

LOOK_EVERY_S = 10.0
ANSWER_WITHIN_S = 10.0
#: The number of looks that must fail, and among how many, by child. Each process of the web takes
#: connections for itself: while one hangs, about every second look fails. A worker may be busy for
#: a while, and beat shows a sign of life every three minutes.
LOOKS: Mapping[str, tuple[int, int]] = {
    "web": (6, 15),
    "worker": (18, 18),
    "beat": (60, 60),
    "postgres": (6, 6),
    "valkey": (6, 6),
}
#: Looks at a child that has not answered since its start, which takes minutes on a busy machine.
LOOKS_AT_START = 30
MAX_LOOKS = max(LOOKS_AT_START, *(among for _, among in LOOKS.values()))


def ask_health(address: str) -> dict[str, Any] | None:
    """The document of `/health/ready`, of any status. None if the web does not answer.

    An answer of another kind is an empty dictionary.
    """
    # A name that the web answers to; the address may not be one.
    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{address}/health/ready", headers={"Host": host}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    except OSError:
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class HangDetector:
    """Looks at the children from time to time, and counts the looks without an answer."""

    def __init__(
        self, address: str, children: Sequence[Child], servers: Servers, *, every_s: float
    ) -> None:
        self._address = address
        self._children = children
        self._servers = servers
        self._every_s = every_s
        self._looked_at = time.monotonic()
        #: Keyed by process id, so that a restarted child has no looks yet.
        self._looks: dict[int, deque[bool]] = {}
        self._have_answered: set[int] = set()
        self._beat_wrote_at: set[tuple[str, int]] = set()

    def hung(self) -> list[Child]:
        """The children to kill. Empty unless it is time for a look."""
        if time.monotonic() - self._looked_at < self._every_s:
            return []
        signs = self._signs_of_life()
        self._looked_at = time.monotonic()
        children = [*self._servers.children, *self._children]
        return [child for child in children if self._is_hung(child, signs.get(child.name))]

    def _is_hung(self, child: Child, is_alive: bool | None) -> bool:
        if is_alive is None or not child.is_running():
            return False
        if is_alive:
            self._have_answered.add(child.pid)
        looks = self._looks.setdefault(child.pid, deque(maxlen=MAX_LOOKS))
        looks.append(is_alive)
        failures, among = LOOKS[child.name]
        if child.pid not in self._have_answered:
            failures = among = max(failures, LOOKS_AT_START)
        return list(looks)[-among:].count(False) >= failures

    def _signs_of_life(self) -> dict[str, bool | None]:
        """Whether each child answers. None: unknown, such as a worker while the broker is away."""
        signs: dict[str, bool | None] = {
            server.name: self._servers.answers(server) for server in self._servers.children
        }
        health = ask_health(self._address)
        components = (health or {}).get("components", {})
        state = {name: found.get("state") for name, found in components.items()}
        is_broker_there = state.get("broker") == "ok"
        return signs | {
            "web": health is not None,
            "worker": state.get("workers") == "ok" if is_broker_there else None,
            "beat": self._has_beat_written(),
        }

    def _has_beat_written(self) -> bool:
        """Whether beat has saved its schedule since the last look."""
        schedule = Path(settings.CELERY_BEAT_SCHEDULE_FILENAME)
        written = {
            (file.name, file.stat().st_mtime_ns)
            for file in schedule.parent.glob(f"{schedule.name}*")
            if file.exists()
        }
        before, self._beat_wrote_at = self._beat_wrote_at, written
        return written != before


READY_WITHIN_S = 300
#: A child that has lived so long and dies is started again at once, others after a pause.
SETTLED_AFTER_S = 10.0
LONGEST_PAUSE_S = 30.0


class Supervisor:
    def __init__(self, output: OutputWrapper) -> None:
        self._output = output
        self._home = settings.CINEMA_HOME
        self._address = str(settings.LOCAL_URL)
        self._address_file = self._home / ADDRESS_FILE
        self._is_stopping = False

    def run(self, *, demonstrate: bool) -> None:
        """Run Cinema until a signal comes.

        Raises:
            CommandError: Cinema cannot be started. The message has the reason.
        """
        remove_access_of_others(self._home)
        with lock_file(self._home / "up.lock") as has_lock:
            if not has_lock:
                raise CommandError(f"Cinema is running already, at {self._running_address()}.")
            end_leftovers(self._home)
            _refuse_taken_port()
            with lock_file(servers_lock(self._home)) as has_servers:
                if not has_servers:
                    raise CommandError("A management command is using the servers; wait for it.")
                self._run(demonstrate=demonstrate)

    def _run(self, *, demonstrate: bool) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        servers = Servers(
            self._home, postgres=settings.EMBEDDED_POSTGRES, valkey=settings.EMBEDDED_VALKEY
        )
        children = program_children()
        try:
            self._print("Starting the servers ...")
            servers.start()
            _prepare(demonstrate)
            self._address_file.write_text(self._address)
            for child in children:
                child.start()
            self._print(f"Starting {', '.join(child.name for child in children)} ...")
            self._wait_until_ready(children)
            self._print_addresses()
            self._supervise(servers, children)
        except _Stopped:
            pass
        except ServerFailed as error:
            raise CommandError(str(error)) from error
        finally:
            self._is_stopping = True
            self._print("Stopping ...")
            stop(children, timeout_s=2.5)
            servers.stop(timeout_s=2)
            self._address_file.unlink(missing_ok=True)

    def _running_address(self) -> str:
        try:
            return self._address_file.read_text() or "an address not known yet"
        except OSError:
            return "an address not known yet: it is still starting"

    def _wait_until_ready(self, children: list[Child]) -> None:
        def died() -> list[Child]:
            return [child for child in children if not child.is_running()]

        # Asked once: the answer to a second question can be another one.
        is_settled = wait_for(
            lambda: bool(died()) or self._is_ready(), timeout_s=READY_WITHIN_S, every_s=0.1
        )
        for child in died():
            raise CommandError(f"{child.name} did not start:\n{child.last_lines()}")
        if not is_settled:
            raise CommandError(f"Not ready after {READY_WITHIN_S} s; see {self._home}/logs.")

    def _is_ready(self) -> bool:
        components = (ask_health(self._address) or {}).get("components", {})
        # A training that has waited while Cinema was stopped begins later.
        needed = set(settings.HEALTH_REQUIRED) - {"training"}
        return bool(components) and all(components[name]["state"] == "ok" for name in needed)

    def _supervise(self, servers: Servers, children: list[Child]) -> None:
        """Restart children that die or hang, until a signal comes."""
        detector = HangDetector(self._address, children, servers, every_s=LOOK_EVERY_S)
        started_at: dict[str, float] = {}
        pauses: dict[str, float] = {}
        due: dict[str, float] = {}
        while True:
            for child in detector.hung():
                self._print(f"{child.name} does not answer any more.")
                child.kill()
            now = time.monotonic()
            for child in [*servers.children, *children]:
                child.rotate_log()
                if child.is_running():
                    continue
                if child.name not in due:
                    lived_s = now - started_at.get(child.name, -SETTLED_AFTER_S)
                    pause = 0.0 if lived_s >= SETTLED_AFTER_S else pauses.get(child.name, 0.5) * 2
                    pauses[child.name] = min(pause, LONGEST_PAUSE_S)
                    due[child.name] = now + pauses[child.name]
                    self._print(f"{child.name} ended ({child.exit_code()}) and is started again.")
                if now >= due[child.name]:
                    del due[child.name]
                    child.kill()  # the processes that it had started
                    child.start()
                    started_at[child.name] = now
            time.sleep(0.2)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            raise _Stopped

    def _print(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone, and Cinema runs on
            self._output.write(text)
            self._output.flush()

    def _print_addresses(self) -> None:
        url = self._address
        lines = [
            f"\n{settings.CINEMA_NAME} is running. Ctrl-C stops it.\n",
            f"  The page     {url}/",
            f"  The API      {url}/api/v1/docs",
            f"  The admin    {url}/admin/",
            f"  Its logs     {self._home}/logs/",
        ]
        if settings.EMAIL_BACKEND.endswith(".filebased.EmailBackend"):
            lines.append(f"  Its mails    {settings.EMAIL_FILE_PATH}/")
        to_try = [f"  curl '{url}/api/v1/programme?genre=drama'\n"]
        if self._can_sign_in(VIEWER):
            lines += [
                f"\n  Staff        {STAFF.email} / {STAFF.password}",
                f"  A viewer     {VIEWER.email} / {VIEWER.password}",
            ]
            to_try.append(_recommendations_by_curl(url))
        else:
            lines.append("\nStaff are made by: .venv/bin/python manage.py createstaff EMAIL")
        self._print("\n".join([*lines, "\nTry:\n", *to_try]))

    def _can_sign_in(self, account: SignIn) -> bool:
        """Whether the demonstration is there. This process has no connection to the database."""
        body = json.dumps({"email": account.email, "password": account.password}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{self._address}/api/v1/auth/login",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


def program_children() -> list[Child]:
    """The web and, with ENABLE_BACKGROUND_JOBS, the worker and beat."""
    return [
        Child(
            name=name,
            command=command,
            home=settings.CINEMA_HOME,
            environment=ENVIRONMENT,
            directory=settings.BASE_DIR,
        )
        for name, command in enabled_commands().items()
    ]


def _refuse_taken_port() -> None:
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Port {settings.PORT} of {settings.HOST} cannot be used ({error.strerror}). "
                f"Choose another one: PORT={settings.PORT + 1} make run"
            ) from error


def _prepare(demonstrate: bool) -> None:
    """Prepare the database in a forked process: the supervisor must hold no connections."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_prepare_database, args=(demonstrate,))
    process.start()
    try:
        process.join()
    finally:
        process.terminate()
    if process.exitcode:
        raise CommandError("The database could not be prepared: see above.")


def _prepare_database(demonstrate: bool) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    django.setup()
    call_command("prepare", demonstrate=demonstrate)


def _recommendations_by_curl(url: str) -> str:
    """A line for a shell that signs in and requests a list with the token."""
    sign_in = (
        f"curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' "
        f"""-d '{{"email": "{VIEWER.email}", "password": "{VIEWER.password}"}}'"""
    )
    print_access = """python3 -c 'import json, sys; print(json.load(sys.stdin)["access"])'"""
    return (
        f"  curl '{url}/api/v1/recommendations?scope=programme&limit=3' "
        f'-H "Authorization: Bearer $({sign_in} | {print_access})"\n'
    )


class _Stopped(BaseException):
    """A signal asked the supervisor to stop. No `except Exception` may catch it."""
