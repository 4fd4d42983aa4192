"""Mails: what they say, on a real mail server; and that none is lost, nor anything told in logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from email.header import decode_header, make_header
from email.message import Message
from functools import partial
from typing import Any

import pytest
import time_machine
from celery import states
from django.conf import settings
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu import Connection, pools

from cinema.celery import app
from cinema.development.processes import wait_for
from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.mails import delivered, delivered_to, token_in
from tests.smtp_server import Mailbox, running
from tests.workers import working
from users import mails
from users.models import MailedToken, MailRequest, User
from users.tasks import send_mail, send_waiting_mails

pytestmark = pytest.mark.django_db

ADDRESS = "agnes@example.org"
PASSWORD = "cleo from 5 to 7"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def server(settings: Any) -> Iterator[Mailbox]:
    with running() as box:
        settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = SMTP, 60
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield box


def request_reset(email: str = ADDRESS) -> MailRequest:
    answer = Client().post("/auth/password/forgot", {"email": email})
    assert answer.status_code == 202
    return MailRequest.objects.latest("pk")


def subject_of(message: Message) -> str:
    return str(make_header(decode_header(message["Subject"])))


# --- what they say


def test_a_mail_reaches_a_real_server(server: Mailbox, settings: Any) -> None:
    settings.CINEMA_NAME, settings.PUBLIC_URL = "Kino Müller", "https://kino.example"
    settings.RESET_PASSWORD_URL = "https://kino.example/account/reset-password"
    settings.DEFAULT_FROM_EMAIL, settings.CINEMA_PHONE = "post@kino.example", "+49 30 1234"
    make_user(email=ADDRESS, password=PASSWORD)
    send_mail(request_reset().pk)
    [(recipients, message)] = server.messages
    assert recipients == [ADDRESS]
    assert subject_of(message) == "Kino Müller: choose a new password"
    assert str(make_header(decode_header(message["From"]))) == "Kino Müller <post@kino.example>"
    assert (message["To"], message["Auto-Submitted"]) == (ADDRESS, "auto-generated")
    assert message.get_content_type() == "text/plain"
    text = bytes(message.get_payload(decode=True)).decode()
    [link] = [line for line in text.splitlines() if "#token=" in line]
    assert link.startswith("https://kino.example/account/reset-password#token=")
    assert "within 1 hour" in text
    assert text.split()[-6:] == ["Kino", "Müller", "+49", "30", "1234", "https://kino.example"]
    token = {"token": link.partition("=")[2], "password": "vagabond in winter"}
    assert Client().post("/auth/password/reset", token).status_code == 204
    assert not MailRequest.objects.filter(kind="reset-password").exists()


def test_the_domain_is_written_by_todays_rules(server: Mailbox) -> None:
    """By older rules the mail would go to the owner of strasse.example."""
    make_user(email="a@straße.example", password=PASSWORD)
    send_mail(request_reset("a@straße.example").pk)
    [(recipients, message)] = server.messages
    assert (recipients, message["To"]) == (["a@xn--strae-oqa.example"], "a@xn--strae-oqa.example")


def test_a_mail_holds_no_text_that_its_sender_typed(settings: Any) -> None:
    """A person who registers with another's address and a message for a name sends no message."""
    settings.CINEMA_NAME = "Kino\nBcc: all@example.org"
    evil = "Win!\r\nBcc: all@example.org http://evil.example"
    registered = {"email": ADDRESS, "password": PASSWORD, "name": evil}
    assert Client().post("/auth/register", registered).status_code == 201
    User.objects.update(name=evil)
    request_reset()
    for message in delivered():
        assert message.subject.startswith("Kino Bcc: all@example.org: ")
        assert message.message()["Bcc"] is None
        assert message.recipients() == [ADDRESS]
        assert "evil" not in f"{message.subject} {message.body}"


def test_the_host_that_a_client_names_is_not_in_the_link() -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    headers = {"Host": "localhost", "X-Forwarded-Host": "evil.example"}
    Client().send("POST", "/auth/password/forgot", {"email": ADDRESS}, headers=headers)
    [message] = delivered()
    assert "http://127.0.0.1:8000/account/reset-password#token=" in message.body


def test_mails_hold_no_markup_and_nothing_to_fetch() -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    request_reset()
    [message] = delivered()
    assert message.content_subtype == "plain"
    assert "alternatives" not in vars(message) or not vars(message)["alternatives"]
    assert message.attachments == []


def test_a_mail_for_an_address_that_has_changed_is_not_sent() -> None:
    user = make_user(email=ADDRESS)
    mails.request_mail(MailRequest.Kind.VERIFY_EMAIL, email=ADDRESS, user=user)
    User.objects.update(email="cleo@example.org")
    assert delivered() == []
    assert not MailedToken.objects.exists()
    assert not MailRequest.objects.exists()


def test_without_a_mail_server_tokens_do_not_get_into_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside the embedded mode, where the log is not the developer's own."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    make_user(email=ADDRESS, password=PASSWORD)
    with caplog.at_level(logging.DEBUG):
        send_mail(request_reset().pk)
    assert "EMAIL_URL is not set" in caplog.text
    assert_told_nothing(caplog.text + "".join(capsys.readouterr()))


# --- that none is lost


def test_a_server_that_is_away_is_asked_again_later_and_later(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, "127.0.0.1", 1
    make_user(email=ADDRESS, password=PASSWORD)
    request = request_reset()
    now, waits = timezone.now(), []
    while MailRequest.objects.exists():
        with time_machine.travel(now, tick=False):
            send_mail(request.pk)
            send_mail(request.pk)  # too early: nothing happens
        if found := MailRequest.objects.first():
            waits.append((found.due_at - now).total_seconds() / 60)
            now = found.due_at
    assert waits == [2, 4, 8, 16, 32, 64, 128]
    assert caplog.text.count("is tried again") == 7
    assert caplog.text.count("cannot be sent") == 1
    assert_told_nothing(caplog.text)


def test_a_failed_mail_is_sent_once_the_server_is_back(server: Mailbox) -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    server.refusals = {"MAIL": "451 try again later"}
    request = request_reset()
    send_mail(request.pk)
    assert (server.messages, MailRequest.objects.count()) == ([], 1)
    server.refusals = {}
    with time_machine.travel(timezone.now() + timedelta(minutes=3)):
        send_mail(request.pk)
    assert (len(server.messages), MailRequest.objects.count()) == (1, 0)
    assert MailedToken.objects.count() == 1  # that of the first attempt is replaced


@pytest.mark.parametrize(
    ("refusals", "is_final"),
    [
        ({"RCPT": f"550 no such mailbox {ADDRESS}"}, True),
        ({"RCPT": f"450 {ADDRESS} is busy"}, False),
        ({"DATA": f"554 {ADDRESS} looks like spam"}, False),
        ({"DATA": ""}, False),
        ({"EHLO": "", "HELO": ""}, False),
    ],
    ids=str,
)
def test_refused_mails_are_tried_again_unless_there_is_no_such_mailbox(
    server: Mailbox, caplog: pytest.LogCaptureFixture, refusals: dict[str, str], is_final: bool
) -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    server.refusals = refusals
    with caplog.at_level(logging.DEBUG):
        send_mail(request_reset().pk)
    assert MailRequest.objects.exists() is not is_final
    assert_told_nothing(caplog.text)


def test_an_address_that_smtp_cannot_take_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """The mail of an account that is older than the rule."""
    user = make_user(email="agnès@example.org")
    mails.request_mail(MailRequest.Kind.PASSWORD_CHANGED, email=user.email, user=user)
    assert delivered() == []
    assert not MailRequest.objects.exists()
    assert "cannot be sent: ValueError" in caplog.text
    assert_told_nothing(caplog.text)


@pytest.mark.django_db(transaction=True)
def test_delivered_to_many_workers_at_once_a_mail_is_sent_once(server: Mailbox) -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    request = request_reset()
    at_once([partial(send_mail, request.pk) for _ in range(4)])
    assert len(server.messages) == 1


@pytest.mark.django_db(transaction=True)
def test_when_the_broker_is_away_the_mail_is_sent_afterwards(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_user(email=ADDRESS, password=PASSWORD)

    nobody_listens = Connection("redis://127.0.0.1:1")
    with monkeypatch.context() as patch:
        patch.setattr(app.amqp, "_producer_pool", pools.producers[nobody_listens])
        request = request_reset()
    assert f"users.send_mail({request.pk}) is not sent, the broker is away" in caplog.text
    own_queue = settings.CELERY_TASK_DEFAULT_QUEUE
    with app.connection_for_write() as broker, broker.SimpleQueue(own_queue) as queue:
        queue.clear()
        send_waiting_mails()
        with pytest.raises(queue.Empty):  # its message may still be on the way
            queue.get_nowait()
        with time_machine.travel(timezone.now() + timedelta(seconds=31)):
            send_waiting_mails()
        message = queue.get(timeout=60)
        message.ack()
    assert message.payload[0] == [request.pk]


def test_a_registration_that_fails_sends_nothing() -> None:
    make_user(email=ADDRESS)
    Client().post("/auth/register", {"email": ADDRESS, "password": PASSWORD})
    assert not MailRequest.objects.exists()


# --- nothing told


def test_logs_and_task_records_hold_no_address_token_or_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All of an account's life, down to the log lines of DEBUG."""
    caplog.set_level(logging.DEBUG)
    anonymous = Client()
    anonymous.post("/auth/register", {"email": ADDRESS, "password": PASSWORD, "name": "Agnès"})
    verify = token_in(delivered_to(ADDRESS))
    anonymous.post("/auth/email/verify", {"token": verify})
    anonymous.post("/auth/login", {"email": ADDRESS, "password": "wrong password"})
    reset = token_in_reset()
    anonymous.post("/auth/password/reset", {"token": reset, "password": "short"})
    anonymous.post("/auth/password/reset", {"token": reset, "password": "vagabond in winter"})
    viewer = Client(User.objects.get())
    viewer.patch("/users/me", {"email": "varda@example.org", "password": "vagabond in winter"})
    delivered()
    messages = [record.getMessage() for record in caplog.records if not _is_sql(record)]
    assert messages
    text = "\n".join(messages)
    assert_told_nothing(text)
    for secret in (verify, reset, "varda@", "wrong password", "vagabond in winter"):
        assert secret not in text


def token_in_reset() -> str:
    request_reset()
    return token_in(delivered_to(ADDRESS))


def _is_sql(record: logging.LogRecord) -> bool:
    """Django logs queries only with DEBUG, or where a test looks at them."""
    return record.name == "django.db.backends"


def assert_told_nothing(text: str) -> None:
    for secret in (ADDRESS, "agnès@", "example.org", PASSWORD, "#token="):
        assert secret not in text


@pytest.mark.django_db(transaction=True)
def test_a_task_is_recorded_with_an_id_alone() -> None:
    make_user(email=ADDRESS, password=PASSWORD)
    with working(settings.CELERY_TASK_DEFAULT_QUEUE):
        request = request_reset()
        done = TaskResult.objects.filter(status=states.SUCCESS, task_args=f'"({request.pk},)"')
        assert wait_for(done.exists, timeout_s=120, every_s=0.1)
    record = done.get()
    assert record.task_name == "users.send_mail"
    assert_told_nothing(
        " ".join(str(getattr(record, field.attname)) for field in TaskResult._meta.fields)
    )
