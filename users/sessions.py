"""Signing in and out, and the refresh tokens of a session.

A refresh token is spent on use. For a moment it is answered with the same successor again; after
that, a second use ends the session.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from cinema.errors import ApiError
from cinema.schemas import CONTROLS
from cinema.throttling.lockout import check_sign_in
from users import errors, second_factor, tokens
from users.addresses import email_key
from users.models import RefreshToken, Session, User
from users.schemas import TokenPairOut
from users.tokens import hash_token

log = logging.getLogger(__name__)

#: Standing sessions of one viewer.
MAX_SESSIONS = 50
#: The time for which a spent refresh token is answered with the same successor.
REFRESH_GRACE = timedelta(seconds=10)
ENDED_SESSIONS_KEPT = timedelta(days=30)
#: Rows deleted in one transaction: a first pruning after years must not hold locks for long.
DELETE_BATCH = 2_000


def active_session() -> Q:
    """The condition that a session has not ended."""
    return Q(revoked_at=None, expires_at__gt=timezone.now())


def list_sessions(*, user: User) -> QuerySet[Session]:
    """The viewer's sessions, the one used last first, each with `is_current`."""
    return (
        Session.objects.filter(active_session(), user=user)
        .annotate(is_current=Q(pk=user.session_id or 0))
        .order_by("-last_used_at", "-pk")
    )


def sign_in(
    *, email: str, password: str, address: str, otp: str = "", device: str = ""
) -> TokenPairOut:
    """Exchange a password, and a code if the account needs one, for a new session's tokens.

    Args:
        address: The result of `client_address`.

    Raises:
        TooManyAttempts: Passwords were guessed; this one was not checked.
        WrongCredentials: They do not fit an open account.
        CodeNeeded, WrongCode: The password fits, and the account has a second factor.
    """
    user = check_credentials(username=email, password=password, otp=otp, address=address)
    while (pair := _sign_in_unless_changed(user, device)) is None:
        if not user.check_password(password):
            raise errors.WrongCredentials
    return pair


@transaction.atomic
def _sign_in_unless_changed(user: User, device: str) -> TokenPairOut | None:
    """Open a session; None if the hash has changed since its check, with the new one in `user`.

    The caller checks the password again, as a hash in the transaction would hold a connection.
    """
    locked = _lock_account(user)
    if locked is None:
        raise errors.WrongCredentials
    # A password that was changed since must not open a session after the others have ended.
    if locked.password != user.password:
        user.password = locked.password
        return None
    # A sign-in without a code must not open one if the second factor was set up meanwhile.
    if not user.has_given_code and second_factor.is_needed(locked):
        raise errors.CodeNeeded
    update_last_login(User, locked)
    return _issue_tokens(_open_session(locked, device), tokens.new_refresh_token())


def check_credentials(
    *, username: str, password: str, otp: str, address: str, request: HttpRequest | None = None
) -> User:
    """The account of a password, and of a code if the account needs one.

    A wrong code counts as a wrong password does: guesses of either are slowed down together.

    Raises:
        TooManyAttempts, WrongCredentials, CodeNeeded, WrongCode: As in `sign_in`.
    """
    refusal: ApiError = errors.WrongCredentials()

    def check() -> User | None:
        nonlocal refusal
        user = authenticate(request, username=username, password=password)
        if not isinstance(user, User) or not second_factor.is_needed(user):
            return user if isinstance(user, User) else None
        if not otp.strip():
            raise errors.CodeNeeded
        refusal = errors.WrongCode()
        user.has_given_code = second_factor.spend_code(user, otp)
        return user if user.has_given_code else None

    user = check_sign_in(check, account=email_key(username), address=address)
    if user is None:
        raise refusal
    return user


@transaction.atomic
def open_session(*, user: User, device: str = "") -> Session:
    """Open a session. Beyond MAX_SESSIONS the viewer's session used longest ago ends."""
    _lock_account(user)
    return _open_session(user, device)


def _open_session(user: User, device: str) -> Session:
    text = CONTROLS.sub("", device)[: Session._meta.get_field("device").max_length]
    session = Session.objects.create(
        user=user, device=text, expires_at=tokens.refresh_expiry(timezone.now())
    )
    by_use = user.sessions.filter(active_session()).order_by("-last_used_at", "-pk").values("pk")
    _end(pk__in=by_use[MAX_SESSIONS:])
    return session


def sign_out(*, token: str) -> None:
    """End the session of a refresh token, spent or not. An unknown token is signed out already."""
    _end(refresh_tokens__token_hash=hash_token(token))


def end_session(*, user: User, session_id: int) -> None:
    """End one of the viewer's sessions.

    Raises:
        SessionNotFound: The viewer has no such session, or it has ended.
    """
    if not _end(active_session(), user=user, pk=session_id):
        raise errors.SessionNotFound(session_id)


@transaction.atomic
def end_other_sessions(*, user: User) -> None:
    """End the viewer's sessions except the one of this request."""
    _lock_account(user)
    _end(~Q(pk=user.session_id or 0), user=user)


def _end(*conditions: Q, **fields: object) -> int:
    """End sessions, whose access tokens then count nowhere; returns how many."""
    found = Session.objects.filter(*conditions, revoked_at=None, **fields)
    return found.update(revoked_at=timezone.now())


def _lock_account(user: User) -> User | None:
    """Lock the account until the transaction ends; None if it is closed or gone.

    Every writer of several sessions locks the account first, as a change of the password does,
    whose trigger ends them. So no two of them deadlock or miss each other's sessions.
    """
    return User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first()


def refresh(*, token: str) -> TokenPairOut:
    """Spend a refresh token for a new pair. A second use of a spent token ends the session.

    Within REFRESH_GRACE, while the successor is unspent, the second use gets the same successor:
    the response was lost, or two tabs asked at once.

    Raises:
        RefreshTokenRefused: The token is unknown, expired or spent, the session has ended, or the
            account is closed.
    """
    with transaction.atomic():
        pair = _spend_refresh_token(token)
    # After the commit, which ends the session of a token that was used twice.
    if pair is None:
        raise errors.RefreshTokenRefused
    return pair


def _spend_refresh_token(text: str) -> TokenPairOut | None:
    now, token_hash = timezone.now(), hash_token(text)
    # The token is read under the lock of its session: of two requests at once, the second one must
    # see what the first one has written.
    session = (
        Session.objects.select_for_update(of=("self",), no_key=True)
        .filter(active_session(), refresh_tokens__token_hash=token_hash, user__is_active=True)
        .first()
    )
    if session is None:
        return None
    token = session.refresh_tokens.filter(token_hash=token_hash).first()
    if token is None:  # It had expired, and was pruned meanwhile.
        return None
    if token.spent_at is None:
        return _rotate(session, token, text, now) if token.expires_at > now else None
    if pair := _repeat_successor(session, token, text, now):
        return pair
    # A thief and the viewer hold the same token. Neither may go on.
    log.warning("session %d ended: a spent refresh token was used again", session.pk)
    session.revoked_at = now
    session.save(update_fields=["revoked_at"])
    return None


def _rotate(session: Session, token: RefreshToken, text: str, now: datetime) -> TokenPairOut:
    token.spent_at, token.successor_salt = now, tokens.new_salt()
    token.save(update_fields=["spent_at", "successor_salt"])
    session.last_used_at, session.expires_at = now, tokens.refresh_expiry(session.created_at)
    session.save(update_fields=["last_used_at", "expires_at"])
    newest, *_ = tokens.successors(text, token.successor_salt)
    return _issue_tokens(session, newest)


def _repeat_successor(
    session: Session, token: RefreshToken, text: str, now: datetime
) -> TokenPairOut | None:
    """The token's successor, if the token was spent a moment ago and the successor is unspent."""
    if token.spent_at is None or token.successor_salt is None:
        return None
    # A request that waited for the lock has read the clock before the one that spent the token.
    if max(now - token.spent_at, timedelta()) >= REFRESH_GRACE:
        return None
    possible = tokens.successors(text, bytes(token.successor_salt))
    by_hash = {hash_token(each): each for each in possible}
    successor = session.refresh_tokens.filter(token_hash__in=by_hash, spent_at=None).first()
    if successor is None:
        return None
    return _token_pair(session, by_hash[bytes(successor.token_hash)])


def _issue_tokens(session: Session, refresh_token: str) -> TokenPairOut:
    RefreshToken.objects.create(
        session=session, token_hash=hash_token(refresh_token), expires_at=session.expires_at
    )
    return _token_pair(session, refresh_token)


def _token_pair(session: Session, refresh_token: str) -> TokenPairOut:
    return TokenPairOut(
        access=tokens.issue_access_token(session),
        refresh=refresh_token,
        token_type="Bearer",  # noqa: S106 - not a password
        expires_in=settings.ACCESS_TOKEN_LIFETIME_S,
    )


def prune_sessions(*, now: datetime | None = None) -> dict[str, int]:
    """Delete expired refresh tokens, and sessions that ended ENDED_SESSIONS_KEPT ago.

    Returns:
        The number of deleted rows, by kind.
    """
    now = now or timezone.now()
    end = now - ENDED_SESSIONS_KEPT
    sessions = Session.objects.all()
    return {
        "refresh tokens": _delete_in_batches(RefreshToken.objects.filter(expires_at__lt=now)),
        # Two queries use one index each; one query with an `or` would use none.
        "sessions": _delete_in_batches(sessions.filter(expires_at__lt=end))
        + _delete_in_batches(sessions.filter(revoked_at__lt=end)),
    }


def _delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete the rows, except those that another transaction is writing."""
    deleted = 0
    while True:
        with transaction.atomic():
            locked = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            batch = [*locked[:DELETE_BATCH]]
            rows.model._default_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < DELETE_BATCH:
            return deleted
