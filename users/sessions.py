"""Refresh tokens: spent on use, answered with the same successor for a moment, and never again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from cinema.errors import ApiError
from cinema.schemas import CONTROLS
from cinema.throttling.lockout import check_sign_in
from users import second_factor, tokens
from users.addresses import email_key
from users.errors import (
    CodeNeeded,
    RefreshTokenRefused,
    SessionNotFound,
    WrongCode,
    WrongCredentials,
)
from users.models import RefreshToken, Session, User
from users.tokens import hash_token

#: Sessions that have ended stay in the table for so long.
SESSIONS_KEPT_DAYS = 30
#: Beyond so many devices of a viewer, the session used longest ago ends.
MAX_SESSIONS = 50
#: For so long a spent refresh token is answered with the same successor.
REFRESH_GRACE_S = 10


def active_session() -> Q:
    """What holds for the sessions that have not ended."""
    return Q(revoked_at=None, expires_at__gt=timezone.now())


def list_sessions(*, user: User) -> QuerySet[Session]:
    """Those that stand, the one used last first, each with whether the caller speaks from it."""
    current = user.session.pk if user.session else 0
    return (
        Session.objects.filter(active_session(), user=user)
        .annotate(is_current=Q(pk=current))
        .order_by("-last_used_at", "-pk")
    )


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def issue_tokens(session: Session, refresh_token: str) -> TokenPair:
    """The session's next tokens."""
    RefreshToken.objects.create(
        session=session,
        token_hash=hash_token(refresh_token),
        expires_at=session.expires_at,
    )
    return TokenPair(access=tokens.issue_access_token(session), refresh=refresh_token)


def refresh(*, token: str) -> TokenPair:
    """Spend a refresh token for a new pair. A spent one that comes again ends the session.

    Unless it comes within REFRESH_GRACE_S, while its successor is unspent: then the answer was
    lost, or two tabs have asked at once, and the same successor is the answer once more.

    Raises:
        RefreshTokenRefused: It is unknown, expired or spent, or the session has ended, or the
            account is closed.
    """
    with transaction.atomic():
        pair = _spend(token)
    # After the commit, which ends the session of a token that was used twice.
    if pair is None:
        raise RefreshTokenRefused
    return pair


def _spend(text: str) -> TokenPair | None:
    now, token_hash = timezone.now(), hash_token(text)
    # The session first, and the token once that is held: of two that come at once, the second one
    # must see what the first one has written.
    session = (
        Session.objects.select_for_update(of=("self",), no_key=True)
        .filter(active_session(), refresh_tokens__token_hash=token_hash, user__is_active=True)
        .first()
    )
    if session is None:
        return None
    token = session.refresh_tokens.filter(token_hash=token_hash).first()
    if token is None:  # it was expired, and is deleted by now
        return None
    if token.spent_at is None:
        return _rotate(session, token, text, now) if token.expires_at > now else None
    if pair := _repeat_successor(session, token, text, now):
        return pair
    # Two hold the same token: a thief and the viewer. Neither may go on.
    log.warning("session %d ended: a spent refresh token was used again", session.pk)
    session.revoked_at = now
    session.save(update_fields=["revoked_at"])
    return None


def _rotate(session: Session, token: RefreshToken, text: str, now: datetime) -> TokenPair:
    token.spent_at, token.successor_salt = now, tokens.new_salt()
    token.save(update_fields=["spent_at", "successor_salt"])
    session.last_used_at, session.expires_at = now, tokens.refresh_expiry(session.created_at)
    session.save(update_fields=["last_used_at", "expires_at"])
    newest, *_ = tokens.successors(text, token.successor_salt)
    return issue_tokens(session, newest)


def _repeat_successor(
    session: Session, token: RefreshToken, text: str, now: datetime
) -> TokenPair | None:
    """The successor that the token has, if it was spent a moment ago and that one is unspent."""
    grace = timedelta(seconds=REFRESH_GRACE_S)
    if token.spent_at is None or token.successor_salt is None:
        return None
    # Who waited for the lock has looked at the clock before whoever spent the token.
    if max(now - token.spent_at, timedelta()) >= grace:
        return None
    possible = tokens.successors(text, bytes(token.successor_salt))
    by_hash = {hash_token(each): each for each in possible}
    successor = session.refresh_tokens.filter(token_hash__in=by_hash, spent_at=None).first()
    if successor is None:
        return None
    access = tokens.issue_access_token(session)
    return TokenPair(access=access, refresh=by_hash[bytes(successor.token_hash)])


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
        return issue_tokens(_open(held, device), tokens.new_refresh_token())


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

    user = check_sign_in(check, account=email_key(username), address=address)
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
    by_use = user.sessions.filter(active_session()).order_by("-last_used_at", "-pk").values("pk")
    _end(pk__in=by_use[MAX_SESSIONS:])
    return session


def sign_out(*, token: str) -> None:
    """End the session of a refresh token, spent or not. An unknown one is signed out already."""
    _end(refresh_tokens__token_hash=hash_token(token))


def end_session(*, user: User, session_id: int) -> None:
    """End one of the viewer's sessions.

    Raises:
        SessionNotFound: It has ended, or is another's, or never was.
    """
    if not _end(active_session(), user=user, pk=session_id):
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


#: Deleted at once, so that a first clearing after years holds no lock for long.
DELETE_BATCH = 2_000


def prune_sessions(*, now: datetime | None = None) -> dict[str, int]:
    """Delete expired refresh tokens, and sessions that have ended SESSIONS_KEPT_DAYS ago.

    Returns:
        How many of each were deleted.
    """
    now = now or timezone.now()
    end = now - timedelta(days=SESSIONS_KEPT_DAYS)
    sessions = Session.objects.all()
    return {
        "refresh tokens": _delete_in_batches(RefreshToken.objects.filter(expires_at__lt=now)),
        # One index each; a query with an `or` would use none.
        "sessions": _delete_in_batches(sessions.filter(expires_at__lt=end))
        + _delete_in_batches(sessions.filter(revoked_at__lt=end)),
    }


def _delete_in_batches(rows: QuerySet[Any]) -> int:
    """In batches; what somebody is writing at the moment is left for the next time."""
    deleted = 0
    while True:
        with transaction.atomic():
            held = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[
                :DELETE_BATCH
            ]
            batch = [*held]
            rows.model._default_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < DELETE_BATCH:
            return deleted
