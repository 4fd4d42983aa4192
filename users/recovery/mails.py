"""What the mails say. Nothing in them was typed by whoever caused them to be sent, such as a name:
else anybody could send anybody a message of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formataddr, parseaddr

from django.conf import settings
from django.core.mail import EmailMessage

from users.addresses import mailbox
from users.models import MailedToken, MailRequest, User
from users.recovery.tokens import issue_mailed_token

Kind = MailRequest.Kind
Purpose = MailedToken.Purpose


@dataclass(frozen=True)
class Text:
    subject: str
    body: str


def write_mail(request: MailRequest) -> EmailMessage | None:
    """The mail that was asked for; None if nobody is to get it any more.

    Raises:
        ValueError: No mail can be sent to the address.
    """
    if (user := _reader(request)) is None:
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


def _reader(request: MailRequest) -> User | None:
    """Of the account that the mail is about, as it is now."""
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


def _sender() -> str:
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return formataddr((name or _cinema(), address))


def _cinema() -> str:
    """The cinema's name on one line: it stands in headers."""
    return " ".join(str(settings.CINEMA_NAME).split())


def _verify_email(user: User) -> Text:
    token = issue_mailed_token(user, Purpose.VERIFY_EMAIL)
    return Text(
        f"{_cinema()}: confirm your e-mail address",
        f"""Hello,

somebody, probably you, has given this address for an account at {_cinema()}.
To confirm that it is yours, open this link within {_duration(settings.VERIFY_EMAIL_LIFETIME_S)}:

{settings.VERIFY_EMAIL_URL}#token={token}

If it was not you, you need not do anything.
{_signature()}""",
    )


def _reset_password(user: User) -> Text:
    token = issue_mailed_token(user, Purpose.RESET_PASSWORD)
    return Text(
        f"{_cinema()}: choose a new password",
        f"""Hello,

somebody, probably you, has asked for a new password for your account at {_cinema()}.
To choose one, open this link within {_duration(settings.RESET_PASSWORD_LIFETIME_S)}:

{settings.RESET_PASSWORD_URL}#token={token}

It works once. If it was not you, you need not do anything: your password stays.
{_signature()}""",
    )


def _email_changed(user: User) -> Text:
    return Text(
        f"{_cinema()}: your e-mail address was changed",
        f"""Hello,

your account at {_cinema()} has another e-mail address now, and this one is no longer used.

If it was not you, tell us at once: somebody knows your password.
{_signature()}""",
    )


def _password_changed(user: User) -> Text:
    return Text(
        f"{_cinema()}: your password was changed",
        f"""Hello,

the password of your account at {_cinema()} was changed. Wherever else you were signed in, you
have to sign in again.

If it was not you, choose a new one here:

{settings.RESET_PASSWORD_URL}
{_signature()}""",
    )


_TEXTS: dict[str, Callable[[User], Text]] = {
    Kind.VERIFY_EMAIL: _verify_email,
    Kind.RESET_PASSWORD: _reset_password,
    Kind.EMAIL_CHANGED: _email_changed,
    Kind.PASSWORD_CHANGED: _password_changed,
}


def _signature() -> str:
    contact = [settings.CINEMA_PHONE, settings.CINEMA_WEBSITE or settings.PUBLIC_URL]
    return "\n".join(["", "-- ", _cinema(), *filter(None, contact), ""])


def _duration(seconds: int) -> str:
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length_s and seconds % length_s == 0:
            return f"{seconds // length_s} {unit}{'s' if seconds != length_s else ''}"
    return f"{seconds} seconds"
