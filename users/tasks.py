from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from users import mails, sessions

log = logging.getLogger(__name__)


@shared_task(name="users.prune_sessions")
def prune_sessions() -> None:
    """Delete expired tokens and sessions that ended long ago. Safe to deliver twice."""
    with single_run("users.prune_sessions") as acquired:
        if acquired and any((pruned := sessions.prune_sessions()).values()):
            log.info("deleted: %s", ", ".join(f"{n} {what}" for what, n in pruned.items()))


@shared_task(name="users.send_mail")
def send_mail(request_id: int) -> None:
    """Send one mail. Delivered twice at once, it is sent once."""
    mails.deliver_mail(request_id)


@shared_task(name="users.send_waiting_mails")
def send_waiting_mails() -> None:
    """Try again what is due. Safe to deliver twice."""
    with single_run("users.send_waiting_mails") as acquired:
        if acquired and (waiting := mails.deliver_waiting_mails()):
            log.info("mails tried again: %d", waiting)


@shared_task(name="users.prune_mailed_tokens")
def prune_mailed_tokens() -> None:
    """Delete expired links and old mail files. Safe to deliver twice."""
    with single_run("users.prune_mailed_tokens") as acquired:
        if acquired and (forgotten := mails.delete_expired_mailed_tokens()):
            log.info("expired links deleted: %d", forgotten)
        if acquired:
            mails.delete_old_mail_files()
