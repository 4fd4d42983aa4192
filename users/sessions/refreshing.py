"""Refresh tokens: spent on use, answered with the same successor for a moment, and never again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from users.errors import RefreshTokenRefused
from users.hashing import hash_token
from users.models import RefreshToken, Session
from users.sessions import tokens
from users.sessions.selectors import standing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def issue(session: Session, refresh_token: str) -> TokenPair:
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
        .filter(standing(), refresh_tokens__token_hash=token_hash, user__is_active=True)
        .first()
    )
    if session is None:
        return None
    token = session.refresh_tokens.filter(token_hash=token_hash).first()
    if token is None:  # it was expired, and is deleted by now
        return None
    if token.spent_at is None:
        return _rotate(session, token, text, now) if token.expires_at > now else None
    if pair := _answer_again(session, token, text, now):
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
    return issue(session, newest)


def _answer_again(
    session: Session, token: RefreshToken, text: str, now: datetime
) -> TokenPair | None:
    """The successor that the token has, if it was spent a moment ago and that one is unspent."""
    grace = timedelta(seconds=settings.REFRESH_GRACE_S)
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
