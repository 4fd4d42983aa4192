from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any

import pgtrigger
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cinema.throttling.lockout import trust_address
from users.addresses import email_key, normal_email
from users.auth import lock_viewer
from users.errors import (
    AccountNotFound,
    AccountNotTrusted,
    EmailTaken,
    RegistrationClosed,
    WrongPassword,
)
from users.mails import Kind, request_mail
from users.models import MailedToken, User
from users.passwords import confirm_password, set_password
from users.preferences import mark_visibility_changed
from users.schemas import ProfileIn
from users.sessions import end_other_sessions
from users.tokens import Purpose, mark_used, read_mailed_token


def register_user(*, email: str, password: str, name: str = "") -> User:
    """Open a viewer's account, and mail a link to verify the address.

    Raises:
        RegistrationClosed: REGISTRATION_OPEN is false.
        WeakPassword: Django's validators refuse the password.
        EmailTaken: An account has this address, in some spelling.
    """
    if not settings.REGISTRATION_OPEN:
        raise RegistrationClosed
    # The password is hashed before the transaction, which would hold a connection meanwhile.
    user = _new_user(email=email, password=password, name=name)
    with transaction.atomic():
        _save_address(user)
        request_mail(Kind.VERIFY_EMAIL, email=user.email, user=user)
    return user


def open_account(
    *, email: str, password: str, name: str = "", is_staff: bool = False, is_superuser: bool = False
) -> User:
    """Make an account; nothing is mailed.

    Raises:
        ValueError: `email` is not an address.
        WeakPassword, EmailTaken: As in `register_user`.
    """
    user = _new_user(
        email=email, password=password, name=name, is_staff=is_staff, is_superuser=is_superuser
    )
    _save_address(user)
    return user


def _new_user(*, email: str, password: str, **fields: Any) -> User:
    user = User(email=normal_email(email), **fields)
    set_password(user, password)
    return user


@transaction.atomic
def promote(*, email: str, is_superuser: bool = False) -> User:
    """Make a viewer a member of staff, or a superuser; it demotes no superuser.

    Raises:
        AccountNotFound: No account has this address.
        AccountNotTrusted: The account is closed, or its address is not verified: a stranger may
            have opened it, to be promoted by mistake.
    """
    users = User.objects.select_for_update(no_key=True)
    user = users.filter(email=email_key(email)).first()
    if user is None:
        raise AccountNotFound
    if not user.is_active or user.email_verified_at is None:
        raise AccountNotTrusted("closed" if not user.is_active else "unverified")
    user.is_staff, user.is_superuser = True, user.is_superuser or is_superuser
    user.save(update_fields=["is_staff", "is_superuser"])
    return user


def change_profile(*, user: User, changes: ProfileIn) -> User:
    """Change the given fields. A new address is unverified, and the old address gets a mail.

    Raises:
        WrongPassword: The address is new, and the password is not the viewer's.
        EmailTaken: Another account has the address.
    """
    given = changes.model_fields_set
    is_new_address = "email" in given and changes.email != user.email
    # The password is checked before the transaction, which would hold a connection meanwhile.
    if is_new_address:
        confirm_password(user, changes.password)
    with transaction.atomic():
        found = _locked(user)
        if "name" in given and changes.name != found.name:
            found.name = changes.name
            found.save(update_fields=["name"])
            transaction.on_commit(mark_visibility_changed)
        if is_new_address and changes.email != found.email:
            _check_unchanged(found, user.password)
            _change_address(found, changes.email)
    return found


def _change_address(user: User, email: str) -> None:
    old, user.email = user.email, email
    # A trigger does the same for writes from elsewhere.
    user.email_verified_at = None
    _save_address(user, update_fields=["email", "email_verified_at"])
    request_mail(Kind.EMAIL_CHANGED, email=old, user=user)
    request_mail(Kind.VERIFY_EMAIL, email=email, user=user)


def change_password(*, user: User, current: str, new: str) -> None:
    """Change the viewer's password, end all other sessions and void mailed links.

    Raises:
        WrongPassword: `current` is not the password.
        WeakPassword: Django's validators refuse the new one.
    """
    # Passwords are hashed before the transaction, which would hold a connection meanwhile.
    confirm_password(user, current, field="current")
    changed = copy(user)
    set_password(changed, new, field="new")
    with transaction.atomic():
        found = _locked(user)
        _check_unchanged(found, user.password, field="current")
        found.password = changed.password
        # The trigger would end the session that the viewer changes it from, too.
        with pgtrigger.ignore("users.User:credentials"):
            found.save(update_fields=["password"])
        end_other_sessions(user=user)
        MailedToken.objects.filter(user=user, purpose=Purpose.RESET_PASSWORD, used_at=None).delete()
        request_mail(Kind.PASSWORD_CHANGED, email=found.email, user=found)


def _locked(user: User) -> User:
    """The viewer's row, read under the lock: of two changes at once the second sees the first."""
    lock_viewer(user)
    return User.objects.get(pk=user.pk)


def _check_unchanged(locked: User, confirmed: str, *, field: str = "password") -> None:
    """Refuse a password that was confirmed, and was changed before the viewer was locked.

    Args:
        confirmed: The hash that the password was compared with.
    """
    if locked.password != confirmed:
        raise WrongPassword(field)


def _save_address(user: User, *, update_fields: list[str] | None = None) -> None:
    try:
        with transaction.atomic():
            user.save(update_fields=update_fields)
    except IntegrityError as error:
        raise EmailTaken from error


@transaction.atomic
def request_reset(*, email: str) -> None:
    """Mail a link to choose a new password, if the address has an account.

    The worker looks the account up. Here every address is treated alike, so that neither the
    response nor its time tells which addresses have accounts.
    """
    request_mail(Kind.RESET_PASSWORD, email=email)


@transaction.atomic
def request_verification(*, user: User) -> None:
    """Mail a link to verify the viewer's address, unless it is verified."""
    lock_viewer(user)
    if user.email_verified_at is None:
        request_mail(Kind.VERIFY_EMAIL, email=user.email, user=user)


@transaction.atomic
def verify_email(*, token: str) -> None:
    """Mark the address as verified: the viewer has the token that was mailed to it.

    Raises:
        MailedTokenRefused: The token is not valid.
    """
    user, found = read_mailed_token(token, Purpose.VERIFY_EMAIL)
    mark_used(found)
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at"])


def reset_password(*, token: str, password: str, address: str) -> None:
    """Set a new password. A trigger ends all sessions of the viewer.

    Args:
        address: The result of `client_address`. The viewer can then sign in from there, even while
            strangers guess the password elsewhere.

    Raises:
        MailedTokenRefused: The token is not valid.
        WeakPassword: Django's validators refuse it; the token can be used again.
    """
    with transaction.atomic():
        changed, _ = read_mailed_token(token, Purpose.RESET_PASSWORD)
    # The password is hashed between the transactions, which would hold a connection meanwhile.
    set_password(changed, password)
    with transaction.atomic():
        user, found = read_mailed_token(token, Purpose.RESET_PASSWORD)
        user.password = changed.password
        mark_used(found)
        user.email_verified_at = user.email_verified_at or timezone.now()
        user.save(update_fields=["password", "email_verified_at"])
        request_mail(Kind.PASSWORD_CHANGED, email=user.email, user=user)
        transaction.on_commit(partial(trust_address, account=user.email, address=address))
