"""Nothing personal in any log, nor in the records of tasks."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_celery_results.models import TaskResult

from cinema.celery import app
from cinema.logs import JsonFormatter, LineFormatter, without_values
from tests.builders import Client, make_movie
from tests.environment import HOME
from tests.mails import token_in
from users.models import MailRequest, User

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

EMAIL, OTHER = "agnes-varda@example.org", "rosalie@example.org"
NAME = "Agnès Plage"
PASSWORD, WRONG, LATER, LAST = (
    "cleo from 5 to 7", "the creatures 1966", "vagabond in winter", "jacquot of nantes",
)  # fmt: skip
ADDRESS, FORWARDED = "203.0.113.77", "198.51.100.23"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that any logger can say."""
    known = [logging.getLogger(name) for name in [*logging.root.manager.loggerDict]]
    stood = [(logger, logger.level, logger.propagate, logger.disabled) for logger in known]
    for logger in known:
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    caplog.set_level(logging.DEBUG)
    yield caplog
    for logger, level, propagates, disabled in stood:
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagates, disabled


@pytest.fixture
def tasks_run_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run tasks at once, with result records as in the worker."""
    stood = (app.conf.task_always_eager, app.conf.task_store_eager_result)
    app.conf.task_always_eager = app.conf.task_store_eager_result = True
    for task in app.tasks.values():  # which have read it already
        monkeypatch.setattr(task, "store_eager_result", True)
    yield
    app.conf.task_always_eager, app.conf.task_store_eager_result = stood


class Person(Client):
    """Somebody with an address of the network, who writes down what must not be found again."""

    def __init__(self) -> None:
        super().__init__()
        self._client.defaults["REMOTE_ADDR"] = ADDRESS
        self.secrets = {EMAIL, OTHER, NAME, PASSWORD, WRONG, LATER, LAST, ADDRESS, FORWARDED}

    def does(self, method: str, path: str, status: int, **payload: Any) -> Any:
        headers = {"X-Forwarded-For": FORWARDED, "User-Agent": "Agnès' telephone"}
        answer = self.send(method, path, payload or None, headers=headers)
        assert answer.status_code == status, answer.content
        if answer.streaming:
            return answer.getvalue()
        return answer.json() if answer.content else None

    def signs_in(self, email: str, password: str) -> str:
        """The refresh token."""
        pair = self.does("POST", "/auth/login", 200, email=email, password=password)
        self.headers = {"Authorization": f"Bearer {pair['access']}"}
        self.secrets |= {pair["access"], pair["refresh"]}
        return str(pair["refresh"])

    def mailed(self) -> str:
        token = token_in(mail.outbox[-1])
        self.secrets.add(token)
        return token


def lead_a_life(person: Person) -> None:
    """From the registration to the erasure, with everything that can go wrong on the way."""
    account = {"email": EMAIL, "password": PASSWORD, "name": NAME}
    person.does("POST", "/auth/register", 201, **account)
    person.does("POST", "/auth/email/verify", 204, token=person.mailed())
    person.does("POST", "/auth/register", 422, **account)
    person.does("POST", "/auth/login", 401, email=EMAIL, password=WRONG)
    person.does("POST", "/auth/login", 401, email=OTHER, password=PASSWORD)
    person.does("POST", "/auth/login", 422, email=EMAIL, password=PASSWORD, more=NAME)
    first = person.signs_in(EMAIL, PASSWORD)
    pair = person.does("POST", "/auth/refresh", 200, refresh=first)
    person.secrets |= {pair["access"], pair["refresh"]}
    person.does("POST", "/auth/refresh", 401, refresh=pair["refresh"] + "x")
    person.does("GET", "/users/me", 200)
    person.does("PATCH", "/users/me", 422, email=OTHER, password=WRONG)
    person.does("PATCH", "/users/me", 200, email=OTHER, password=PASSWORD)
    person.does("POST", "/users/me/password", 422, current=WRONG, new=LATER)
    person.does("POST", "/users/me/password", 204, current=PASSWORD, new=LATER)
    person.does("POST", "/auth/password/forgot", 202, email=EMAIL)
    person.does("POST", "/auth/password/forgot", 202, email=OTHER)
    person.does("POST", "/auth/password/reset", 422, token=first, password=LAST)
    person.does("POST", "/auth/password/reset", 204, token=person.mailed(), password=LAST)
    person.does("GET", "/users/me", 401)
    refresh = person.signs_in(OTHER, LAST)
    person.does("POST", "/auth/logout", 204, refresh=refresh)
    person.does("GET", "/users/me", 401)
    person.signs_in(OTHER, LAST)
    person.does("GET", "/users/me/export", 200)
    person.does("GET", f"/movies/999999/{person.headers['Authorization'][-5:]}", 404)
    person.does("DELETE", "/users/me", 422, password=WRONG)
    person.does("DELETE", "/users/me", 204, password=LAST)
    person.does("GET", "/users/me", 401)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tasks_run_at_once")
def test_no_log_and_no_record_of_a_task_holds_anything_personal(
    log: pytest.LogCaptureFixture, settings: Settings
) -> None:
    """No address, no name, no password, no token, of any logger at its most talkative."""
    settings.SECURE_PROXY_SSL_HEADER = None
    person = Person()
    lead_a_life(person)
    said = [f"{record.getMessage()} {vars(record)}" for record in log.records]
    assert {"django.request", "users.mails"} <= {r.name for r in log.records}
    # The request itself hangs on Django's records, for handlers: of it the path alone is shown.
    recorded = [str([*row.items()]) for row in TaskResult.objects.values()]
    assert len(recorded) >= 5
    found = {
        (secret, line) for secret in person.secrets for line in [*said, *recorded] if secret in line
    }
    assert found == set()


@pytest.mark.django_db(transaction=True)
def test_postgres_own_log_holds_no_address(settings: Settings) -> None:
    """It repeats the row that it refuses, and the statement, with the password's hash."""
    if not settings.EMBEDDED_POSTGRES:
        pytest.skip("the server is somebody else's: docs/security.md says what to set")
    client, account = Client(), {"email": EMAIL, "password": PASSWORD}
    statuses = [client.post("/auth/register", account).status_code for _ in range(2)]
    assert statuses == [201, 422]
    log = (HOME / "logs" / "postgres.log").read_text()
    assert "duplicate key value" in log
    assert not [word for word in (EMAIL, "argon2") if word in log]


def break_a_rule() -> None:
    with transaction.atomic():
        User.objects.create(email=EMAIL.upper(), name=NAME, password=LAST)


@pytest.fixture(params=[LineFormatter, JsonFormatter])
def formatter(request: pytest.FixtureRequest) -> logging.Formatter:
    """Each formatter of the log."""
    made: logging.Formatter = request.param("%(message)s")
    return made


def test_row_values_in_errors_of_postgres_reach_no_log(formatter: logging.Formatter) -> None:
    """A fault of ours is told with its traceback, but not with the row."""
    with pytest.raises(IntegrityError, match=EMAIL.upper()) as caught:
        break_a_rule()
    error = caught.value
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "failed: %s %r", (error, error), None)
    record.exc_info = (type(error), error, error.__traceback__)
    assert record.getMessage().count(EMAIL.upper()) == 2
    written = formatter.format(record)
    assert "user_email_lower" in written
    assert "The above exception was the direct cause" in written
    assert "in break_a_rule" in written
    assert not [word for word in (EMAIL, EMAIL.upper(), NAME, LAST) if word in written]
    told = without_values("relation is missing\nLINE 1: … WHERE email = 'a@example.org'\n   ^")
    assert told == "relation is missing"


@pytest.mark.usefixtures("tasks_run_at_once")
def test_row_values_in_errors_of_postgres_reach_no_task_record() -> None:
    task = app.task(name="tests.break_a_rule")(break_a_rule)
    assert task.delay().failed()
    [record] = TaskResult.objects.values("result", "traceback", "meta")
    assert "user_email_lower" in record["result"]
    assert "in break_a_rule" in record["traceback"]
    written = str(record)
    assert not [word for word in (EMAIL, EMAIL.upper(), NAME, LAST) if word in written]


def test_the_configured_log_is_written_so(settings: Settings) -> None:
    assert settings.LOGGING["formatters"]["line"]["()"] == "cinema.logs.log_formatter"
    [handler] = [h for h in logging.root.handlers if h.get_name() == "stderr"]
    assert isinstance(handler.formatter, LineFormatter)
    assert isinstance(handler.formatter, JsonFormatter) is not sys.stderr.isatty()


def test_a_request_cannot_write_lines_of_the_log(
    anonymous: Client, log: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    anonymous.get("/nothing%0A2026-11-20 ERROR forged%0D%0A")
    lines = [formatter.format(record) for record in log.records]
    assert [line for line in lines if "forged" in line]
    assert not [line for line in lines if "\n" in line or "\r" in line]
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s failed", ("/a\nforged",), None)
    assert message_of(formatter.format(record)) == "/a\\nforged failed"


def message_of(line: str) -> str:
    """The message of a line that `formatter` has written."""
    return str(json.loads(line)["message"]) if line.startswith("{") else line


#: Ends of lines as any program reads them, commands to terminals, and reversed text.
FORGING = [
    "\r", "\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029",
    "\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\x00", "\x08", "\x7f", "\u202e", "\u2066", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("forging", FORGING, ids=ascii)
def test_no_character_forges_or_hides_a_line(forging: str, formatter: logging.Formatter) -> None:
    value = f"/a{forging}2026-11-30 ERROR forged"
    error = ValueError(value)
    info = (ValueError, error, None)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s failed", (value,), info)
    written = formatter.format(record)
    written.encode()  # without halves of characters
    assert set(written).isdisjoint(set(forging) - set("\n[2J]0;title"))
    lines = written.splitlines()
    assert not [line for line in lines if line.startswith("2026")]
    if isinstance(formatter, JsonFormatter):
        assert len(lines) == 1
        assert len(message_of(written).splitlines()) == 1


@pytest.mark.parametrize("forging", FORGING[:-1], ids=ascii)
def test_a_path_or_a_header_forges_no_line(
    forging: str, anonymous: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    given = f"{forging}2026-11-30 ERROR forged"
    headers = {"X-Request-ID": given, "User-Agent": given, "Host": given, "Traceparent": given}
    anonymous.send("GET", f"/nothing{quote(given)}", headers=headers)
    anonymous.send(f"GET{forging}", "/genres", headers=headers)
    lines = capfd.readouterr().err.removesuffix("\n").split("\n")
    assert len(lines) >= 2
    for line in lines:
        assert set(line).isdisjoint(set(forging) - set("[2J]0;title"))
        assert json.loads(line)["level"] in {"INFO", "WARNING", "ERROR"}


def test_mails_wait_without_saying_to_whom(log: pytest.LogCaptureFixture) -> None:
    request = MailRequest.objects.create(
        kind="reset-password", email=EMAIL, due_at=timezone.now() - timedelta(days=1)
    )
    assert EMAIL not in str(request)
    assert EMAIL not in repr(request)
    assert make_movie().name
