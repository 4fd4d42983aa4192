"""What the mails say. Nothing in them was typed by whoever caused them to be sent, such as a name:
else anybody could send anybody a message of ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formataddr, parseaddr
from functools import partial
from pathlib import Path
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from cinema.task_queue import send_task
from users.addresses import mailbox
from users.models import MailedToken, MailRequest, User
from users.tokens import RESET_PASSWORD_LIFETIME_S, VERIFY_EMAIL_LIFETIME_S, issue_mailed_token

MailKind = MailRequest.Kind
Purpose = MailedToken.Purpose


@dataclass(frozen=True)
class MailText:
    subject: str
    body: str


def build_mail(request: MailRequest) -> EmailMessage | None:
    """The mail that was asked for; None if nobody is to get it any more.

    Raises:
        ValueError: No mail can be sent to the address.
    """
    if (user := _recipient(request)) is None:
        return None
    text = _TEXTS[request.kind](user)
    return EmailMessage(
        subject=text.subject,
        body=text.body,
        from_email=_sender(),
        to=[mailbox(request.email)],
        # Or holidaymakers' programs would answer (RFC 3834).
        headers={"Auto-Submitted": "auto-generated"},
    )


def _recipient(request: MailRequest) -> User | None:
    """Of the account that the mail is about, as it is now."""
    if request.kind == MailKind.RESET_PASSWORD:
        return User.objects.filter(email=request.email, is_active=True).first()
    user = request.user
    is_outdated = (
        request.kind == MailKind.VERIFY_EMAIL
        and user is not None
        and (
            user.email != request.email or user.email_verified_at is not None or not user.is_active
        )
    )
    return None if is_outdated else user


def _sender() -> str:
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return formataddr((name or _cinema(), address))


def _cinema() -> str:
    """The cinema's name on one line: it stands in headers."""
    return " ".join(str(settings.CINEMA_NAME).split())


def _verify_email(user: User) -> MailText:
    token = issue_mailed_token(user, Purpose.VERIFY_EMAIL)
    return MailText(
        f"{_cinema()}: confirm your e-mail address",
        f"""Hello,

somebody, probably you, has given this address for an account at {_cinema()}.
To confirm that it is yours, open this link within {_duration(VERIFY_EMAIL_LIFETIME_S)}:

{settings.VERIFY_EMAIL_URL}#token={token}

If it was not you, you need not do anything.
{_signature()}""",
    )


def _reset_password(user: User) -> MailText:
    token = issue_mailed_token(user, Purpose.RESET_PASSWORD)
    return MailText(
        f"{_cinema()}: choose a new password",
        f"""Hello,

somebody, probably you, has asked for a new password for your account at {_cinema()}.
To choose one, open this link within {_duration(RESET_PASSWORD_LIFETIME_S)}:

{settings.RESET_PASSWORD_URL}#token={token}

It works once. If it was not you, you need not do anything: your password stays.
{_signature()}""",
    )


def _email_changed(user: User) -> MailText:
    return MailText(
        f"{_cinema()}: your e-mail address was changed",
        f"""Hello,

your account at {_cinema()} has another e-mail address now, and this one is no longer used.

If it was not you, tell us at once: somebody knows your password.
{_signature()}""",
    )


def _password_changed(user: User) -> MailText:
    return MailText(
        f"{_cinema()}: your password was changed",
        f"""Hello,

the password of your account at {_cinema()} was changed. Wherever else you were signed in, you
have to sign in again.

If it was not you, choose a new one here:

{settings.RESET_PASSWORD_URL}
{_signature()}""",
    )


_TEXTS: dict[str, Callable[[User], MailText]] = {
    MailKind.VERIFY_EMAIL: _verify_email,
    MailKind.RESET_PASSWORD: _reset_password,
    MailKind.EMAIL_CHANGED: _email_changed,
    MailKind.PASSWORD_CHANGED: _password_changed,
}


def _signature() -> str:
    contact = [settings.CINEMA_PHONE, settings.CINEMA_WEBSITE or settings.PUBLIC_URL]
    return "\n".join(["", "-- ", _cinema(), *filter(None, contact), ""])


def _duration(seconds: int) -> str:
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length_s and seconds % length_s == 0:
            return f"{seconds // length_s} {unit}{'s' if seconds != length_s else ''}"
    return f"{seconds} seconds"


log = logging.getLogger(__name__)

Kind = MailRequest.Kind

#: Of each mail; the waits between them double, and are four hours in all.
MAIL_ATTEMPTS = 8
#: Longer than one attempt, so that no two are made at once.
FIRST_WAIT = timedelta(minutes=2)
#: A request whose message has not reached the worker by then is sent again.
MESSAGE_LOST_AFTER = timedelta(seconds=30)
#: In them are addresses, and links that count no more.
MAIL_FILES_KEPT = timedelta(days=7)
#: So many are sent again at a time, those that wait longest first.
AT_A_TIME = 500


def request_mail(kind: Kind, *, email: str, user: User | None = None) -> None:
    """Have a mail sent, once the transaction is committed."""
    request = MailRequest.objects.create(kind=kind, email=email, user=user)
    transaction.on_commit(partial(send_task, "users.send_mail", request.pk))


def deliver_waiting_mails() -> int:
    """Send again what has failed, and whose message got lost; how many."""
    due = MailRequest.objects.filter(due_at__lt=timezone.now() - MESSAGE_LOST_AFTER)
    waiting = list(due.order_by("due_at").values_list("pk", flat=True)[:AT_A_TIME])
    for request_id in waiting:
        send_task("users.send_mail", request_id)
    return len(waiting)


def deliver_mail(request_id: int) -> None:
    """Send the mail, unless somebody else does or has. Says in the log how it went, and not who."""
    if (request := _claim(request_id)) is None:
        return
    try:
        mail = build_mail(request)
        if mail is not None:
            mail.send()
            log.info("mail %d (%s) is sent", request.pk, request.kind)
            if settings.EMAIL_BACKEND.endswith(".dummy.EmailBackend"):
                log.warning("mail %d went nowhere: EMAIL_URL is not set", request.pk)
    except (OSError, ValueError) as error:  # among them what smtplib raises
        _put_off(request, error)
    else:
        request.delete()


def _claim(request_id: int) -> MailRequest | None:
    """The request, if it is due: from now on nobody else finds it due, until the next attempt."""
    now = timezone.now()
    due = MailRequest.objects.select_related("user").filter(pk=request_id, due_at__lte=now)
    if (request := due.first()) is None:
        return None
    mine = MailRequest.objects.filter(pk=request.pk, attempts=request.attempts)
    wait = FIRST_WAIT * 2**request.attempts
    request.attempts += 1
    return request if mine.update(attempts=request.attempts, due_at=now + wait) else None


def _put_off(request: MailRequest, error: Exception) -> None:
    reason = _loggable(error)
    if request.attempts < MAIL_ATTEMPTS and not _is_final(error):
        log.warning("mail %d is tried again, attempt %d: %s", request.pk, request.attempts, reason)
        return
    log.error("mail %d (%s) cannot be sent: %s", request.pk, request.kind, reason)
    request.delete()


def _is_final(error: Exception) -> bool:
    """Whether the server, or the address itself, says that it will never work."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, ValueError)


def _loggable(error: Exception) -> str:
    """What may stand in a log: servers repeat addresses in what they answer."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        return f"{name} {sorted({code for code, _ in error.recipients.values()})}"
    if isinstance(error, SMTPResponseException):
        return f"{name} {error.smtp_code}"
    return name if isinstance(error, SMTPException | ValueError) else f"{name}: {error}"


def delete_old_mail_files() -> int:
    """Delete the mails that the embedded mode has written to files long ago; how many."""
    directory = Path(settings.EMAIL_FILE_PATH)
    end = timezone.now().timestamp() - MAIL_FILES_KEPT.total_seconds()
    old = [file for file in directory.glob("*.log") if file.stat().st_mtime < end]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def delete_expired_mailed_tokens() -> int:
    """Delete the tokens that count no more because of their age; how many."""
    return MailedToken.objects.filter(expires_at__lt=timezone.now()).delete()[0]
