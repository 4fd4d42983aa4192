from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.utils import timezone

from users.errors import RefreshTokenRefused, WrongCredentials
from users.models import RefreshToken, Session, User
from users.sessions import tokens


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def sign_in(*, email: str, password: str, device: str = "") -> TokenPair:
    """Exchange a password for the tokens of a new session.

    Raises:
        WrongCredentials: They do not fit an account that is open.
    """
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise WrongCredentials
    with transaction.atomic():
        update_last_login(User, user)
        return _issue(open_session(user=user, device=device))


def open_session(*, user: User, device: str = "") -> Session:
    length = Session._meta.get_field("device").max_length
    return Session.objects.create(
        user=user, device=device[:length], expires_at=tokens.refresh_expiry()
    )


def refresh(*, token: str) -> TokenPair:
    """Spend a refresh token for a new pair. A spent one that comes again ends the session.

    Raises:
        RefreshTokenRefused: It is unknown, expired or spent, or the session has ended, or the
            account is closed.
    """
    with transaction.atomic():
        found = (
            RefreshToken.objects.select_for_update(of=("self", "session"))
            .select_related("session__user")
            .filter(token_hash=tokens.hash_refresh_token(token))
            .first()
        )
        now = timezone.now()
        if found and not found.spent_at:
            session = found.session
            if not session.revoked_at and found.expires_at > now and session.user.is_active:
                found.spent_at = session.last_used_at = now
                session.expires_at = tokens.refresh_expiry()
                found.save(update_fields=["spent_at"])
                session.save(update_fields=["last_used_at", "expires_at"])
                return _issue(session)
        elif found:
            # Two hold the same token: a thief and the viewer. Neither may go on.
            Session.objects.filter(pk=found.session_id, revoked_at=None).update(revoked_at=now)
    raise RefreshTokenRefused


def _issue(session: Session) -> TokenPair:
    pair = TokenPair(access=tokens.issue_access_token(session), refresh=tokens.new_refresh_token())
    RefreshToken.objects.create(
        session=session,
        token_hash=tokens.hash_refresh_token(pair.refresh),
        expires_at=tokens.refresh_expiry(),
    )
    return pair
