from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from cinema.throttling.lockout import remember
from users.locking import lock_viewer
from users.models import User
from users.passwords import set_password
from users.recovery.sending import Kind, request_mail
from users.recovery.tokens import Purpose, mark_used, read_mailed_token


@transaction.atomic
def request_reset(*, email: str) -> None:
    """Have a link to choose a new password sent, if there is such an account.

    Not looked up here: the same is done for every address, so that neither the answer nor its
    time tells who has an account.
    """
    request_mail(Kind.RESET_PASSWORD, email=email)


@transaction.atomic
def request_verification(*, user: User) -> None:
    """Have a link to verify the viewer's address sent, unless it is verified."""
    lock_viewer(user)
    if user.email_verified_at is None:
        request_mail(Kind.VERIFY_EMAIL, email=user.email, user=user)


@transaction.atomic
def verify_email(*, token: str) -> None:
    """The viewer has read what was sent to the address.

    Raises:
        MailedTokenRefused: The token does not count.
    """
    user, found = read_mailed_token(token, Purpose.VERIFY_EMAIL)
    mark_used(found)
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at"])


@transaction.atomic
def reset_password(*, token: str, password: str, address: str) -> None:
    """Set a new password, which ends all sessions of the viewer, by a trigger.

    Args:
        address: From where. There the viewer can sign in, whoever guesses elsewhere.

    Raises:
        MailedTokenRefused: The token does not count.
        WeakPassword: Django's validators refuse it; the token can be used again.
    """
    user, found = read_mailed_token(token, Purpose.RESET_PASSWORD)
    set_password(user, password)
    mark_used(found)
    user.email_verified_at = user.email_verified_at or timezone.now()
    user.save(update_fields=["password", "email_verified_at"])
    request_mail(Kind.PASSWORD_CHANGED, email=user.email, user=user)
    transaction.on_commit(partial(remember, account=user.email, address=address))
