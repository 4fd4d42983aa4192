"""The supervisor of `manage.py up`: it starts the servers and the programs, and restarts them."""

from __future__ import annotations

import json
import multiprocessing
import signal
import socket
import time
import urllib.request
from types import FrameType

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

from cinema.development import STAFF, VIEWER, SignIn
from cinema.development.embedded_servers import Servers, lock_file, servers_lock
from cinema.development.liveness import LOOK_EVERY_S, HangDetector, ask_health
from cinema.development.postgres import ServerFailed
from cinema.development.processes import Child, end_leftovers, stop, wait_for
from cinema.home import remove_access_of_others
from cinema.programs import ENVIRONMENT, enabled_commands

READY_WITHIN_S = 120
#: A child that has lived so long and dies is started again at once, others after a pause.
SETTLED_AFTER_S = 10.0
LONGEST_PAUSE_S = 30.0


class Supervisor:
    def __init__(self, output: OutputWrapper) -> None:
        self._output = output
        self._home = settings.CINEMA_HOME
        self._address = str(settings.LOCAL_URL)
        self._address_file = self._home / "address"
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
            self._say("Starting the servers ...")
            servers.start()
            _prepare(demonstrate)
            self._address_file.write_text(self._address)
            for child in children:
                child.start()
            self._say(f"Starting {', '.join(child.name for child in children)} ...")
            self._wait_until_ready(children)
            self._greet()
            self._supervise(servers, children)
        except _Stopped:
            pass
        except ServerFailed as error:
            raise CommandError(str(error)) from error
        finally:
            self._is_stopping = True
            self._say("Stopping ...")
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
                self._say(f"{child.name} does not answer any more.")
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
                    self._say(f"{child.name} ended ({child.exit_code()}) and is started again.")
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

    def _say(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()

    def _greet(self) -> None:
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
        self._say("\n".join([*lines, "\nTry:\n", *to_try]))

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
    """One line for a shell: sign in, and ask with the token."""
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
