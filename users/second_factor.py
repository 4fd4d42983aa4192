"""Codes of an authenticator app (TOTP, RFC 6238) as a second factor of the sign-in."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time

import pyotp
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cinema.audit.recording import record
from users.addresses import email_key
from users.admin_sessions import end_admin_sessions
from users.auth import lock_viewer
from users.errors import AccountNotFound
from users.models import RecoveryCode, SecondFactor, Session, User
from users.tokens import hash_token

PERIOD_S = 30
#: Clocks may differ by this many periods.
SKEW = 1
RECOVERY_CODES = 10

_CODE = re.compile(r"\d{6}", re.ASCII)


def new_secret() -> str:
    return pyotp.random_base32()


def provisioning_uri(user: User, secret: str) -> str:
    """The `otpauth://` address that an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=settings.CINEMA_NAME)


def is_needed(user: User) -> bool:
    return SecondFactor.objects.filter(user=user).exists()


@transaction.atomic
def set_up(
    *, user: User, secret: str, code: str, admin_session: str | None = None
) -> list[str] | None:
    """Require a code at each sign-in from now on, and end the sessions opened without one.

    Args:
        admin_session: The key of the session in which the user does this; it goes on.

    Returns:
        The recovery codes, which cannot be shown again; None if the code is wrong, or the
        account has a second factor already.
    """
    step = _step_of(secret, code, after=0)
    lock_viewer(user)
    if step is None or is_needed(user):
        return None
    factor = SecondFactor.objects.create(user=user, secret=secret, last_step=step)
    record("create", "second-factor", factor.pk, after={"user_id": user.pk, **_made_at(factor)})
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    end_admin_sessions(user, besides=admin_session)
    return _new_recovery_codes(factor)


@transaction.atomic
def replace_recovery_codes(*, user: User) -> list[str]:
    """Replace the recovery codes by new ones.

    Raises:
        SecondFactor.DoesNotExist: It was removed meanwhile.
    """
    factor = SecondFactor.objects.select_for_update().get(user=user)
    factor.recovery_codes.all().delete()
    before = _made_at(factor)
    factor.recovery_codes_made_at = timezone.now()
    factor.save(update_fields=["recovery_codes_made_at"])
    record("update", "second-factor", factor.pk, before=before, after=_made_at(factor))
    return _new_recovery_codes(factor)


@transaction.atomic
def remove(*, user: User) -> bool:
    """Remove the second factor; returns whether there was one."""
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:
        return False
    record("delete", "second-factor", factor.pk, before={"user_id": user.pk, **_made_at(factor)})
    factor.delete()
    return True


def remove_by_email(*, email: str) -> bool:
    """Remove the second factor of a lost device; returns whether there was one.

    Raises:
        AccountNotFound: No account has this address.
    """
    user = User.objects.filter(email=email_key(email)).first()
    if user is None:
        raise AccountNotFound
    return remove(user=user)


@transaction.atomic
def spend_code(user: User, text: str) -> bool:
    """Whether this is a valid code of the user's app or a recovery code; it is valid once.

    The row is locked: of two requests with the same code at once, one finds it used.
    """
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:  # It was removed meanwhile.
        return True
    code = re.sub(r"[\s-]", "", text)
    if not _CODE.fullmatch(code):
        found = factor.recovery_codes.filter(code_hash=hash_token(code.lower()))
        return found.delete()[0] > 0
    step = _step_of(factor.secret, code, after=factor.last_step)
    if step is None:
        return False
    factor.last_step = step
    factor.save(update_fields=["last_step"])
    return True


def _made_at(factor: SecondFactor) -> dict[str, str]:
    return {"recovery_codes_made_at": factor.recovery_codes_made_at.isoformat()}


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """The period of a code, among the current ones that come after `after`; None if it is wrong."""
    now = int(time.time()) // PERIOD_S
    totp = pyotp.TOTP(secret, interval=PERIOD_S)
    given = re.sub(r"\s", "", code).encode("utf-8", "replace")
    steps = range(max(now - SKEW, after + 1), now + SKEW + 1)
    found = [s for s in steps if hmac.compare_digest(totp.at(s * PERIOD_S).encode(), given)]
    return found[0] if found else None


def _new_recovery_codes(factor: SecondFactor) -> list[str]:
    """Make codes of 80 random bits: too many to guess from a plain hash."""
    codes = [
        base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(factor=factor, code_hash=hash_token(code)) for code in codes
    )
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in codes]
