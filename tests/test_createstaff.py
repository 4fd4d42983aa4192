"""`manage.py createstaff`: the first member of staff, and those after."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from cinema.audit.models import AuditEntry
from tests.builders import make_user
from tests.running import ROOT
from users.models import MailRequest, User

pytestmark = pytest.mark.django_db

ADDRESS, PASSWORD = "boss@cinema.example", "projector room"


def create(monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = PASSWORD) -> str:
    monkeypatch.setattr(sys, "stdin", StringIO(f"{typed}\n"))
    out = StringIO()
    call_command("createstaff", *arguments, "--password-stdin", stdout=out)
    return out.getvalue()


def promote(*arguments: str) -> str:
    out = StringIO()
    call_command("createstaff", *arguments, "--promote", stdout=out)
    return out.getvalue()


def test_createstaff_makes_a_member_of_staff(monkeypatch: pytest.MonkeyPatch) -> None:
    said = create(monkeypatch, "Boss@CINEMA.example", "--name", "  Jacques\tD. ")
    assert said == "boss@cinema.example is a member of staff now.\n"
    user = User.objects.get(email=ADDRESS)
    assert (user.name, user.is_staff, user.is_superuser) == ("Jacques D.", True, False)
    assert user.check_password(PASSWORD)
    [entry] = AuditEntry.objects.all()
    assert (entry.model, entry.action, entry.via) == ("user", "create", "command")
    assert not MailRequest.objects.exists()


def test_createstaff_makes_a_superuser(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is a superuser now" in create(monkeypatch, ADDRESS, "--superuser")
    assert User.objects.get().is_superuser


@pytest.mark.parametrize(
    ("address", "password", "why"),
    [
        ("nonsense", PASSWORD, "not an e-mail address"),
        ("büro@cinema.example", PASSWORD, "not an e-mail address"),
        (ADDRESS, "short", "too short"),
        (ADDRESS, "password1234", "too common"),
        (ADDRESS, "", "holds no password"),
    ],
)
def test_createstaff_explains_a_refusal(
    monkeypatch: pytest.MonkeyPatch, address: str, password: str, why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        create(monkeypatch, address, typed=password)
    assert not User.objects.exists()


def test_a_taken_address_is_refused_and_nobody_is_promoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_user(email=ADDRESS)
    with pytest.raises(CommandError, match="exists already"):
        create(monkeypatch, ADDRESS)
    assert not User.objects.get().is_staff


def test_a_verified_viewer_is_promoted_if_asked_and_keeps_the_password() -> None:
    user = make_user(email=ADDRESS, password=PASSWORD, email_verified_at=timezone.now())
    assert promote("BOSS@cinema.example") == f"{ADDRESS} is a member of staff now.\n"
    assert "superuser" in promote(ADDRESS, "--superuser")
    assert "superuser" in promote(ADDRESS)  # nobody is demoted
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (True, True)
    assert user.check_password(PASSWORD)
    assert {entry.via for entry in AuditEntry.objects.all()} == {"command"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "is not verified"),
        ({"email_verified_at": timezone.now(), "is_active": False}, "closed"),
    ],
)
def test_an_unverified_account_is_not_promoted(fields: dict[str, Any], why: str) -> None:
    make_user(email=ADDRESS, **fields)
    with pytest.raises(CommandError, match=why):
        promote(ADDRESS)
    assert not User.objects.get().is_staff


def test_an_unknown_account_cannot_be_promoted() -> None:
    with pytest.raises(CommandError, match="No account"):
        promote(ADDRESS)
    with pytest.raises(CommandError, match="neither the name nor the password"):
        promote(ADDRESS, "--name", "Jacques")


# --- as a process of its own


def environment() -> dict[str, str]:
    """The environment with the test database."""
    found = connection.settings_dict
    return {**os.environ, "TEST_DATABASE": str(found["NAME"])}


COMMAND = [
    sys.executable,
    "-c",
    "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
    "from django.conf import settings\n"
    "settings.DATABASES['default']['NAME'] = os.environ['TEST_DATABASE']\n"
    "from django.core.management import execute_from_command_line\n"
    "execute_from_command_line(['manage.py', *sys.argv[1:]])",
    "createstaff",
]


@pytest.mark.django_db(transaction=True)
def test_the_process_takes_the_password_from_its_input_and_never_shows_it() -> None:
    done = subprocess.run(
        [*COMMAND, ADDRESS, "--password-stdin"],
        cwd=ROOT,
        env=environment(),
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, f"{ADDRESS} is a member of staff now.\n")
    assert PASSWORD not in done.stdout + done.stderr
    assert User.objects.get(email=ADDRESS).check_password(PASSWORD)


@pytest.mark.django_db(transaction=True)
def test_the_process_says_that_it_cannot_ask_without_a_terminal() -> None:
    done = subprocess.run(
        [*COMMAND, ADDRESS],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "CommandError: There is no terminal to ask for the password: --password-stdin.\n"
    )


@pytest.mark.django_db(transaction=True)
def test_the_process_asks_twice_without_an_echo() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, ADDRESS], cwd=ROOT, env=environment(), stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
        preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(theirs)
    shown = ""
    for prompt in ("Password: ", "Password, once more: "):
        while prompt not in shown:
            shown += os.read(ours, 1000).decode()
        os.write(ours, f"{PASSWORD}\n".encode())
    while "now." not in shown:
        shown += os.read(ours, 1000).decode()
    assert process.wait(timeout=300) == 0
    os.close(ours)
    assert PASSWORD not in shown
    assert User.objects.get(email=ADDRESS).check_password(PASSWORD)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_an_empty_database_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_user RENAME TO users_gone")
    with pytest.raises(CommandError, match="has no tables yet"):
        create(monkeypatch, ADDRESS)
