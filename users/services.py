from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cinema.throttling.lockout import trust_address
from users.addresses import email_key, normal_email
from users.auth import lock_viewer
from users.errors import AccountNotFound, AccountNotTrusted, EmailTaken, RegistrationClosed
from users.mails import Kind, request_mail
from users.models import User, sessions_kept
from users.passwords import confirm_password, set_password
from users.tokens import Purpose, mark_used, read_mailed_token


@transaction.atomic
def register_user(*, email: str, password: str, name: str = "") -> User:
    """Open a viewer's account, and have a link to verify the address sent.

    Raises:
        RegistrationClosed: The cinema's settings say so.
        WeakPassword: Django's validators refuse the password.
        EmailTaken: An account has this address, in whatever spelling.
    """
    if not settings.REGISTRATION_OPEN:
        raise RegistrationClosed
    user = open_account(email=email, password=password, name=name)
    request_mail(Kind.VERIFY_EMAIL, email=user.email, user=user)
    return user


def open_account(*, email: str, password: str, name: str = "", **rights: bool) -> User:
    """Make an account; nothing is mailed.

    Args:
        rights: `is_staff` and `is_superuser`.

    Raises:
        ValueError: `email` is no address.
        WeakPassword, EmailTaken: As in `register_user`.
    """
    user = User(email=normal_email(email), name=name, **rights)
    set_password(user, password)
    _save_address(user)
    return user


@transaction.atomic
def promote(*, email: str, is_superuser: bool = False) -> User:
    """Make a viewer a member of staff; nobody is demoted by it.

    Raises:
        AccountNotFound: No account has this address.
        AccountNotTrusted: It is closed, or nobody has shown to read mail at its address: then
            somebody else may have opened it, to be promoted by mistake.
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


@transaction.atomic
def change_profile(
    *, user: User, name: str | None = None, email: str | None = None, password: str = ""
) -> User:
    """Change what is given. A new address is unverified, and the old one is told of it.

    Args:
        password: The viewer's current one, which a new address needs.

    Raises:
        WrongPassword: The address is a new one, and this is not the password.
        EmailTaken: Another account has the address.
    """
    found = _locked(user)
    if name is not None and name != found.name:
        found.name = name
        found.save(update_fields=["name"])
    if email is not None and email != found.email:
        confirm_password(found, password)
        _change_address(found, email)
    return found


def _change_address(user: User, email: str) -> None:
    old, user.email = user.email, email
    # Also by a trigger, whoever writes it.
    user.email_verified_at = None
    _save_address(user, update_fields=["email", "email_verified_at"])
    request_mail(Kind.EMAIL_CHANGED, email=old, user=user)
    request_mail(Kind.VERIFY_EMAIL, email=email, user=user)


@transaction.atomic
def change_password(*, user: User, current: str, new: str) -> None:
    """Change the viewer's password. By triggers all other sessions end, and mailed links too.

    Raises:
        WrongPassword: `current` is not it.
        WeakPassword: Django's validators refuse the new one.
    """
    found = _locked(user)
    confirm_password(found, current, field="current")
    set_password(found, new, field="new")
    with sessions_kept(user.session.pk if user.session else ""):
        found.save(update_fields=["password"])
    request_mail(Kind.PASSWORD_CHANGED, email=found.email, user=found)


def _locked(user: User) -> User:
    """The viewer's row as it is now: of two changes at once the second sees the first."""
    lock_viewer(user)
    return User.objects.get(pk=user.pk)


def _save_address(user: User, *, update_fields: list[str] | None = None) -> None:
    try:
        with transaction.atomic():
            user.save(update_fields=update_fields)
    except IntegrityError as error:
        raise EmailTaken from error


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
    transaction.on_commit(partial(trust_address, account=user.email, address=address))
