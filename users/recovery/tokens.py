"""Tokens that are mailed: random, stored hashed, good once, and only for where they were sent."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from users.errors import MailedTokenRefused
from users.hashing import hash_token
from users.models import MailedToken, User

Purpose = MailedToken.Purpose


@transaction.atomic
def issue_mailed_token(user: User, purpose: Purpose) -> str:
    """A new token for the viewer's address. Those that were sent before count no more.

    Raises:
        ValueError: The account was deleted meanwhile.
    """
    # Two at once would each leave the other's token standing.
    if not User.objects.select_for_update(no_key=True).filter(pk=user.pk):
        raise ValueError("the account is gone")
    MailedToken.objects.filter(user=user, purpose=purpose).delete()
    token = secrets.token_urlsafe(32)
    MailedToken.objects.create(
        user=user,
        purpose=purpose,
        email=user.email,
        token_hash=hash_token(token),
        expires_at=timezone.now() + timedelta(seconds=_lifetime_s(purpose)),
    )
    return token


def read_mailed_token(token: str, purpose: Purpose) -> tuple[User, MailedToken]:
    """The token, and the viewer to whom it was sent, locked until the transaction ends.

    Raises:
        MailedTokenRefused: It does not count.
    """
    known = {"token_hash": hash_token(token), "purpose": purpose}
    by_token = {f"mailed_tokens__{name}": value for name, value in known.items()}
    # The viewer first, as whoever replaces a token does it.
    users = User.objects.select_for_update(no_key=True, of=("self",))
    user = users.filter(is_active=True, **by_token).first()
    if user is None:
        raise MailedTokenRefused
    # Read under the lock: of two that come with the same token, one finds it used.
    found = MailedToken.objects.filter(
        user=user, email=user.email, used_at=None, expires_at__gt=timezone.now(), **known
    ).first()
    if found is None:
        raise MailedTokenRefused
    return user, found


def mark_used(token: MailedToken) -> None:
    MailedToken.objects.filter(pk=token.pk).update(used_at=timezone.now())


def _lifetime_s(purpose: Purpose) -> int:
    lifetimes_s = {
        Purpose.VERIFY_EMAIL: settings.VERIFY_EMAIL_LIFETIME_S,
        Purpose.RESET_PASSWORD: settings.RESET_PASSWORD_LIFETIME_S,
    }
    return lifetimes_s[purpose]
