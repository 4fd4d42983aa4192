from __future__ import annotations

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from cinema.errors import ApiError
from cinema.schemas import CONTROLS
from cinema.throttling.lockout import guarded
from users.addresses import email_key
from users.errors import CodeNeeded, SessionNotFound, WrongCode, WrongCredentials
from users.hashing import hash_token
from users.models import Session, User
from users.second_factor import services as second_factor
from users.sessions import tokens
from users.sessions.refreshing import TokenPair, issue
from users.sessions.selectors import standing


def sign_in(
    *, email: str, password: str, address: str, otp: str = "", device: str = ""
) -> TokenPair:
    """Exchange a password, and a code where the account asks for one, for a new session's tokens.

    Args:
        address: From where, as `client_address` has it.

    Raises:
        TooManyAttempts: Passwords were guessed; this one was not looked at.
        WrongCredentials: They do not fit an account that is open.
        CodeNeeded, WrongCode: They do, and the account has a second factor.
    """
    user = credentials_of(username=email, password=password, otp=otp, address=address)
    with transaction.atomic():
        held = _hold(user)
        # A password that was changed since must not open a session after the others have ended.
        if held is None or (held.password != user.password and not held.check_password(password)):
            raise WrongCredentials
        update_last_login(User, held)
        return issue(_open(held, device), tokens.new_refresh_token())


def credentials_of(
    *, username: str, password: str, otp: str, address: str, request: HttpRequest | None = None
) -> User:
    """The account that a password, and a code where it asks for one, belong to.

    A wrong code counts as a wrong password does: guesses of either are slowed down together.

    Raises:
        TooManyAttempts, WrongCredentials, CodeNeeded, WrongCode: As in `sign_in`.
    """
    refusal: ApiError = WrongCredentials()

    def check() -> User | None:
        nonlocal refusal
        user = authenticate(request, username=username, password=password)
        if not isinstance(user, User) or not second_factor.is_needed(user):
            return user if isinstance(user, User) else None
        if not otp.strip():
            raise CodeNeeded
        refusal = WrongCode()
        return user if second_factor.spend_code(user, otp) else None

    user = guarded(check, account=email_key(username), address=address)
    if user is None:
        raise refusal
    return user


@transaction.atomic
def open_session(*, user: User, device: str = "") -> Session:
    """A new one. Beyond MAX_SESSIONS that of the same viewer ends which was used longest ago."""
    _hold(user)
    return _open(user, device)


def _open(user: User, device: str) -> Session:
    text = CONTROLS.sub("", device)[: Session._meta.get_field("device").max_length]
    session = Session.objects.create(
        user=user, device=text, expires_at=tokens.refresh_expiry(timezone.now())
    )
    by_use = user.sessions.filter(standing()).order_by("-last_used_at", "-pk").values("pk")
    _end(pk__in=by_use[settings.MAX_SESSIONS :])
    return session


def sign_out(*, token: str) -> None:
    """End the session of a refresh token, spent or not. An unknown one is signed out already."""
    _end(refresh_tokens__token_hash=hash_token(token))


def end_session(*, user: User, session_id: int) -> None:
    """End one of the viewer's sessions.

    Raises:
        SessionNotFound: It has ended, or is another's, or never was.
    """
    if not _end(standing(), user=user, pk=session_id):
        raise SessionNotFound(session_id)


@transaction.atomic
def end_other_sessions(*, user: User) -> None:
    """End the viewer's sessions but for the one that the caller speaks from."""
    _hold(user)
    kept = user.session.pk if user.session else 0
    _end(~Q(pk=kept), user=user)


def _end(*which: Q, **fields: object) -> int:
    """How many have ended by it: from now on their access tokens count nowhere."""
    return Session.objects.filter(*which, revoked_at=None, **fields).update(
        revoked_at=timezone.now()
    )


def _hold(user: User) -> User | None:
    """The account as it is now, until the transaction ends, if it is open.

    Who writes several sessions of a viewer holds their account first, as a change of the password
    does, whose trigger ends them: so none of these meet in a deadlock, or pass each other by.
    """
    return User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first()
