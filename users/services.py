from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from users import tokens
from users.errors import EmailTaken, RefreshTokenRefused, WeakPassword, WrongCredentials
from users.models import RefreshToken, User


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def register_user(*, email: str, password: str, name: str = "") -> User:
    """Open a viewer's account.

    Raises:
        WeakPassword: Django's validators refuse the password.
        EmailTaken: An account has this address, in whatever case.
    """
    user = User(email=email.lower(), name=name)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages)) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise EmailTaken from error
    return user


def sign_in(*, email: str, password: str) -> TokenPair:
    """Exchange a password for tokens; the refresh token begins a family.

    Raises:
        WrongCredentials: They do not fit an account that is open.
    """
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise WrongCredentials
    with transaction.atomic():
        update_last_login(User, user)
        return _issue(user, family=uuid.uuid4())


def refresh(*, token: str) -> TokenPair:
    """Spend a refresh token for a new pair. A spent one that comes again ends its whole family.

    Raises:
        RefreshTokenRefused: It is unknown, expired, revoked or spent, or the account is closed.
    """
    with transaction.atomic():
        found = (
            RefreshToken.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(token_hash=tokens.hash_refresh_token(token))
            .first()
        )
        now = timezone.now()
        if found and not found.spent_at:
            if not found.revoked_at and found.expires_at > now and found.user.is_active:
                found.spent_at = now
                found.save(update_fields=["spent_at"])
                return _issue(found.user, family=found.family)
        elif found:
            # Two hold the same token: a thief and the viewer. Neither may go on.
            RefreshToken.objects.filter(family=found.family).update(revoked_at=now)
    raise RefreshTokenRefused


def _issue(user: User, *, family: uuid.UUID) -> TokenPair:
    pair = TokenPair(access=tokens.issue_access_token(user), refresh=tokens.new_refresh_token())
    RefreshToken.objects.create(
        user=user,
        family=family,
        token_hash=tokens.hash_refresh_token(pair.refresh),
        expires_at=tokens.refresh_expiry(),
    )
    return pair
