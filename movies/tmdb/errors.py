"""The errors of TMDb. No message holds a word of TMDb's answer, or of the token."""

from __future__ import annotations

import math

from django.http import HttpResponse

from cinema.errors import ApiError, NotFound, Unprocessable


class TmdbNotConnected(ApiError):
    """There is no token, or it cannot be one.

    The status is below 500, as nothing is broken and no alarm should go off.
    """

    status = 424

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason} Set it to the API Read Access Token (the long one) from "
            "https://www.themoviedb.org/settings/api and restart. All else works without."
        )


class TmdbAway(ApiError):
    """TMDb does not answer, or answers that it is broken.

    Attributes:
        retry_after_s: When to try again, where TMDb has said so.
    """

    status = 503

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"TMDb {reason}. Try again later.")
        self.retry_after_s = retry_after_s

    def response(self) -> HttpResponse:
        answer = super().response()
        answer["Retry-After"] = str(max(1, math.ceil(self.retry_after_s or 30)))
        return answer


class TmdbBusy(TmdbAway):
    """TMDb asks for a pause, or failed too often."""


class TmdbRefused(ApiError):
    """TMDb does not accept the token."""

    status = 502


class TmdbUnusable(ApiError):
    """TMDb's answer cannot be read."""

    status = 502

    def __init__(self, reason: str) -> None:
        super().__init__(f"TMDb {reason}.")


class TmdbLacks(TmdbUnusable):
    """TMDb itself says that it has nothing at this path."""


class TmdbLacksFilm(NotFound):
    def __init__(self, tmdb_id: int) -> None:
        super().__init__(f"TMDb has no film {tmdb_id}.")


class FilmIncomplete(Unprocessable):
    """TMDb does not know a field that a movie must have; staff can give it."""

    def __init__(self, field: str) -> None:
        super().__init__(f"body.{field}", f"TMDb has no {field} of this film. Send them.")
