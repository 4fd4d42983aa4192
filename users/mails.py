"""Mails to viewers: a row for each (`MailRequest`), so that a lost message cannot lose a mail.

A mail holds nothing that a client has typed, such as a name: otherwise any client could send any
address a message of ours.
"""

from __future__ import annotations

import logging
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
from users.tokens import MAILED_TOKEN_LIFETIMES, Purpose, issue_mailed_token

log = logging.getLogger(__name__)

Kind = MailRequest.Kind

#: The attempts to send a mail. The waits between them double, and sum up to four hours.
MAIL_ATTEMPTS = 8
#: Longer than one attempt, so that no two overlap.
FIRST_WAIT = timedelta(minutes=2)
#: A request whose message has not reached the worker by then is sent again.
MESSAGE_LOST_AFTER = timedelta(seconds=30)
#: The files hold addresses, and links that have expired.
MAIL_FILES_KEPT = timedelta(days=7)
#: Mails that are sent again at a time, those that wait longest first.
AT_A_TIME = 500

#: The end of the subject, and the text between greeting and signature, by kind.
_TEXTS = {
    Kind.VERIFY_EMAIL: (
        "confirm your e-mail address",
        """somebody, probably you, has given this address for an account at {cinema}.
To confirm that it is yours, open this link within {lifetime}:

{link}

If it was not you, you need not do anything.""",
    ),
    Kind.RESET_PASSWORD: (
        "choose a new password",
        """somebody, probably you, has asked for a new password for your account at {cinema}.
To choose one, open this link within {lifetime}:

{link}

It works once. If it was not you, you need not do anything: your password stays.""",
    ),
    Kind.EMAIL_CHANGED: (
        "your e-mail address was changed",
        """your account at {cinema} has another e-mail address now, and this one is no longer used.

If it was not you, tell us at once: somebody knows your password.""",
    ),
    Kind.PASSWORD_CHANGED: (
        "your password was changed",
        """\
the password of your account at {cinema} was changed. Wherever else you were signed in, you
have to sign in again.

If it was not you, choose a new one here:

{reset_url}""",
    ),
}


def build_mail(request: MailRequest) -> EmailMessage | None:
    """The requested mail; None if it has no recipient any more.

    Raises:
        ValueError: No mail can be sent to the address.
    """
    if (user := _recipient(request)) is None:
        return None
    # The name is part of headers, which have one line.
    cinema = " ".join(str(settings.CINEMA_NAME).split())
    subject, body = _TEXTS[Kind(request.kind)]
    text = body.format(cinema=cinema, reset_url=settings.RESET_PASSWORD_URL, **_link(request, user))
    contact = [settings.CINEMA_PHONE, settings.CINEMA_WEBSITE or settings.PUBLIC_URL]
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return EmailMessage(
        subject=f"{cinema}: {subject}",
        body="\n".join(["Hello,", "", text, "", "-- ", cinema, *filter(None, contact), ""]),
        from_email=formataddr((name or cinema, address)),
        to=[mailbox(request.email)],
        # Otherwise automatic replies would answer (RFC 3834).
        headers={"Auto-Submitted": "auto-generated"},
    )


def _link(request: MailRequest, user: User) -> dict[str, str]:
    """The link with a new token, and its lifetime, if the mail has one."""
    urls = {
        Kind.VERIFY_EMAIL: (settings.VERIFY_EMAIL_URL, Purpose.VERIFY_EMAIL),
        Kind.RESET_PASSWORD: (settings.RESET_PASSWORD_URL, Purpose.RESET_PASSWORD),
    }
    if (found := urls.get(Kind(request.kind))) is None:
        return {}
    url, purpose = found
    return {
        "link": f"{url}#token={issue_mailed_token(user, purpose)}",
        "lifetime": _duration(MAILED_TOKEN_LIFETIMES[purpose]),
    }


def _recipient(request: MailRequest) -> User | None:
    """The account that the mail is about, as it is now; None if the mail is out of date."""
    if request.kind == Kind.RESET_PASSWORD:
        return User.objects.filter(email=request.email, is_active=True).first()
    user = request.user
    is_outdated = (
        request.kind == Kind.VERIFY_EMAIL
        and user is not None
        and (
            user.email != request.email or user.email_verified_at is not None or not user.is_active
        )
    )
    return None if is_outdated else user


def _duration(lifetime: timedelta) -> str:
    days, hours = lifetime.days, lifetime.seconds // 3600
    number, unit = (days, "day") if days else (hours, "hour")
    return f"{number} {unit}{'s' if number != 1 else ''}"


def request_mail(kind: Kind, *, email: str, user: User | None = None) -> None:
    """Send a mail once the transaction is committed."""
    request = MailRequest.objects.create(kind=kind, email=email, user=user)
    transaction.on_commit(partial(send_task, "users.send_mail", request.pk))


def deliver_waiting_mails() -> int:
    """Send failed mails again, and those whose message was lost; returns how many."""
    due = MailRequest.objects.filter(due_at__lt=timezone.now() - MESSAGE_LOST_AFTER)
    waiting = list(due.order_by("due_at").values_list("pk", flat=True)[:AT_A_TIME])
    for request_id in waiting:
        send_task("users.send_mail", request_id)
    return len(waiting)


def deliver_mail(request_id: int) -> None:
    """Send the mail, unless another task does or has. The log tells the outcome, and no address."""
    if (request := _claim(request_id)) is None:
        return
    try:
        mail = build_mail(request)
        if mail is not None:
            mail.send()
            log.info("mail %d (%s) is sent", request.pk, request.kind)
            if settings.EMAIL_BACKEND.endswith(".dummy.EmailBackend"):
                log.warning("mail %d went nowhere: EMAIL_URL is not set", request.pk)
    except (OSError, ValueError) as error:  # among them those of smtplib
        _handle_failure(request, error)
    else:
        request.delete()


def _claim(request_id: int) -> MailRequest | None:
    """The request, if it is due. No other task then finds it due until the next attempt."""
    now = timezone.now()
    due = MailRequest.objects.select_related("user").filter(pk=request_id, due_at__lte=now)
    if (request := due.first()) is None:
        return None
    mine = MailRequest.objects.filter(pk=request.pk, attempts=request.attempts)
    wait = FIRST_WAIT * 2**request.attempts
    request.attempts += 1
    return request if mine.update(attempts=request.attempts, due_at=now + wait) else None


def _handle_failure(request: MailRequest, error: Exception) -> None:
    reason = _loggable(error)
    if request.attempts < MAIL_ATTEMPTS and not _is_final(error):
        log.warning("mail %d is tried again, attempt %d: %s", request.pk, request.attempts, reason)
        return
    log.error("mail %d (%s) cannot be sent: %s", request.pk, request.kind, reason)
    request.delete()


def _is_final(error: Exception) -> bool:
    """Whether another attempt would fail too, by the server's response or the address itself."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, ValueError)


def _loggable(error: Exception) -> str:
    """The error without its text: servers repeat addresses in their responses."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        return f"{name} {sorted({code for code, _ in error.recipients.values()})}"
    if isinstance(error, SMTPResponseException):
        return f"{name} {error.smtp_code}"
    return name if isinstance(error, SMTPException | ValueError) else f"{name}: {error}"


def delete_old_mail_files() -> int:
    """Delete old mails that the embedded mode has written to files; returns how many."""
    directory = Path(settings.EMAIL_FILE_PATH)
    end = timezone.now().timestamp() - MAIL_FILES_KEPT.total_seconds()
    old = [file for file in directory.glob("*.log") if file.stat().st_mtime < end]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def delete_expired_mailed_tokens() -> int:
    return MailedToken.objects.filter(expires_at__lt=timezone.now()).delete()[0]
