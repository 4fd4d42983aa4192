"""Access tokens as Django's `authenticate` understands them."""

from __future__ import annotations

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from users.models import User
from users.sessions.selectors import viewer_of
from users.sessions.tokens import read_access_token


class AccessTokenBackend(BaseBackend):
    """Reads access tokens for `cinema.auth`, and signs nobody in by other means."""

    def authenticate(
        self, request: HttpRequest | None, access_token: str | None = None, **credentials: object
    ) -> User | None:
        """The viewer, if the session of the token stands: asked of Postgres in the one query that
        each request makes for its viewer, so what is revoked counts nowhere from then on.
        """
        if access_token is None or (token := read_access_token(access_token)) is None:
            return None
        return viewer_of(session_id=token.session_id, user_id=token.user_id)

    def get_user(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id).first()
