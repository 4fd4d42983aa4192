from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cinema.errors import ApiError, Conflict, Forbidden, NotFound, Unauthorized, Unprocessable


class WrongCredentials(Unauthorized):
    """The address, the password or the account is not valid. It does not say which."""

    detail = "The e-mail address or the password is wrong."


class CodeNeeded(Unauthorized):
    """The password is right, and the account has a second factor."""

    def __init__(self) -> None:
        super().__init__(
            "Send the code of your authenticator app, or a recovery code, as `otp`.",
            second_factor="needed",
        )


class WrongCode(Unauthorized):
    def __init__(self) -> None:
        super().__init__(
            "The code is wrong, or was used before. Wait for the next one.", second_factor="wrong"
        )


class TooManyPasswords(ApiError):
    status = 503
    headers = {"Retry-After": "2"}
    detail = "Too many passwords are being checked. Try again in 2 seconds."


class RefreshTokenRefused(Unauthorized):
    """The refresh token is unknown, expired, revoked, or was used before."""

    detail = "This refresh token is invalid or has expired. Sign in again."


class SessionNotFound(NotFound):
    def __init__(self, session_id: int) -> None:
        super().__init__(f"You have no session with the id {session_id}.")


class EmailTaken(Unprocessable):
    field = "body.email"
    detail = "An account with this address exists already."


class WeakPassword(Unprocessable):
    def __init__(self, message: str, *, field: str = "password") -> None:
        super().__init__(f"body.{field}", message)


class WrongPassword(Unprocessable):
    """A signed-in viewer gave a wrong password."""

    def __init__(self, field: str) -> None:
        super().__init__(f"body.{field}", "This is not your password.")


class MailedTokenRefused(Unprocessable):
    """The token is unknown, expired or used, or the account has another address or is closed."""

    field = "body.token"
    detail = "This link is invalid or has expired. Ask for a new one."


class RegistrationClosed(Forbidden):
    detail = "This cinema does not open accounts at the moment."


class AccountNotFound(NotFound):
    detail = "No account has this address."


class AccountNotTrusted(Conflict):
    """The account is closed, or its address is not verified, so it gets no rights."""

    def __init__(self, why: Literal["closed", "unverified"]) -> None:
        reasons = {
            "closed": "The account is closed.",
            "unverified": "The address of this account is not verified: a stranger may have opened "
            "it. Verify it by the mailed link first.",
        }
        super().__init__(reasons[why])


class LastSuperuser(Conflict):
    detail = "This is the only account that may appoint staff. Make another one a superuser first."


class PlaylistNotFound(NotFound):
    """There is none, or it is another viewer's private one. It does not say which."""

    def __init__(self, which: int | str) -> None:
        super().__init__(f"There is no playlist {which!r}.")


class NotYourPlaylist(Forbidden):
    detail = "Only its owner can change a playlist. Copy it to have your own."


class NotInPlaylist(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} is not in this playlist.")


class NotShared(NotFound):
    detail = "This playlist has no link."


class NotFollowed(NotFound):
    detail = "You do not follow this playlist."


class PlaylistFull(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(
            f"A playlist may have at most {at_most} films. Remove one first.", limit=at_most
        )


class TooManyPlaylists(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(
            f"A viewer may have at most {at_most} playlists. Delete one first.", limit=at_most
        )


class TooManyFollowed(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(
            f"A viewer may follow at most {at_most} playlists. Unfollow one first.", limit=at_most
        )


class OwnPlaylist(Conflict):
    detail = "This playlist is your own."


class OtherFilms(Conflict):
    def __init__(self, *, missing: Sequence[int], unknown: Sequence[int]) -> None:
        super().__init__(
            "Name each film of the playlist exactly once: see `missing` and `unknown`.",
            missing=missing,
            unknown=unknown,
        )
