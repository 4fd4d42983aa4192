from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from users.recovery import sending

log = logging.getLogger(__name__)


@shared_task(name="users.send_mail")
def send_mail(request_id: int) -> None:
    """Send one mail. Delivered twice at once, it is sent once."""
    sending.send(request_id)


@shared_task(name="users.send_waiting_mails")
def send_waiting_mails() -> None:
    """Try again what is due. Safe to deliver twice."""
    with single_run("users.send_waiting_mails") as acquired:
        if acquired and (waiting := sending.send_waiting()):
            log.info("mails tried again: %d", waiting)


@shared_task(name="users.forget_mailed_tokens")
def forget_mailed_tokens() -> None:
    """Delete expired links. Safe to deliver twice."""
    with single_run("users.forget_mailed_tokens") as acquired:
        if acquired and (forgotten := sending.forget_mailed_tokens()):
            log.info("expired links deleted: %d", forgotten)
        if acquired:
            sending.forget_mail_files()
