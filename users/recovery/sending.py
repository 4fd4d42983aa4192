"""Mails on their way: a row for each (`MailRequest`), which a lost message cannot lose."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from pathlib import Path
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from users.models import MailedToken, MailRequest, User
from users.recovery.mails import write_mail

log = logging.getLogger(__name__)

Kind = MailRequest.Kind

#: Of each mail; the waits between them double, and are four hours in all.
ATTEMPTS = 8
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
    transaction.on_commit(partial(_send_to_worker, request.pk))


def _send_to_worker(request_id: int) -> None:
    from users.recovery.tasks import send_mail

    try:
        send_mail.delay(request_id)
    except (BrokerAway, OSError) as error:
        log.warning("mail %d waits for the broker: %s", request_id, error)


def send_waiting() -> int:
    """Send again what has failed, and whose message got lost; how many."""
    due = MailRequest.objects.filter(due_at__lt=timezone.now() - MESSAGE_LOST_AFTER)
    waiting = list(due.order_by("due_at").values_list("pk", flat=True)[:AT_A_TIME])
    for request_id in waiting:
        _send_to_worker(request_id)
    return len(waiting)


def send(request_id: int) -> None:
    """Send the mail, unless somebody else does or has. Says in the log how it went, and not who."""
    if (request := _claim(request_id)) is None:
        return
    try:
        mail = write_mail(request)
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
    reason = _told(error)
    if request.attempts < ATTEMPTS and not _is_final(error):
        log.warning("mail %d is tried again, attempt %d: %s", request.pk, request.attempts, reason)
        return
    log.error("mail %d (%s) cannot be sent: %s", request.pk, request.kind, reason)
    request.delete()


def _is_final(error: Exception) -> bool:
    """Whether the server, or the address itself, says that it will never work."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, ValueError)


def _told(error: Exception) -> str:
    """What may stand in a log: servers repeat addresses in what they answer."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        return f"{name} {sorted({code for code, _ in error.recipients.values()})}"
    if isinstance(error, SMTPResponseException):
        return f"{name} {error.smtp_code}"
    return name if isinstance(error, SMTPException | ValueError) else f"{name}: {error}"


def forget_mail_files() -> int:
    """Delete the mails that the embedded mode has written to files long ago; how many."""
    directory = Path(settings.EMAIL_FILE_PATH)
    end = timezone.now().timestamp() - MAIL_FILES_KEPT.total_seconds()
    old = [file for file in directory.glob("*.log") if file.stat().st_mtime < end]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def forget_mailed_tokens() -> int:
    """Delete the tokens that count no more because of their age; how many."""
    return MailedToken.objects.filter(expires_at__lt=timezone.now()).delete()[0]
