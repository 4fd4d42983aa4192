"""Mails that wait, sent as the worker sends them."""

from __future__ import annotations

import re

from django.core import mail
from django.core.mail import EmailMessage

from users.models import MailRequest
from users.tasks import send_mail


def delivered() -> list[EmailMessage]:
    """Deliver the mails that were requested since the last call, in order."""
    mail.outbox.clear()
    for request_id in MailRequest.objects.order_by("pk").values_list("pk", flat=True):
        send_mail(request_id)
    return list(mail.outbox)


def delivered_to(address: str) -> EmailMessage:
    [found] = [each for each in delivered() if each.to == [address]]
    return found


def token_in(message: EmailMessage) -> str:
    [token] = re.findall(r"#token=(\S+)", str(message.body))
    return str(token)
