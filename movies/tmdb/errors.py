"""What can go wrong with TMDb. None of these says a word of what TMDb sent, nor of the token."""

from __future__ import annotations

import math

from django.http import HttpResponse

from cinema.errors import ApiError, NotFound, Unprocessable


class TmdbNotConnected(ApiError):
    """There is no token, or something else in its place.

    Not a status of 500 and above: nothing is broken, and nobody has to be called in the night.
    """

    status = 424

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason} Set it to the API Read Access Token (the long one) from "
            "https://www.themoviedb.org/settings/api and restart. All else works without."
        )


class TmdbAway(ApiError):
    """TMDb does not answer, says that it is broken, or wants to be left alone for a while."""

    status = 503

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"TMDb {reason}. Try again later.")
        self.reason = reason
        #: When it makes sense to try again; None where nobody knows.
        self.retry_after_s = retry_after_s

    def response(self) -> HttpResponse:
        answer = super().response()
        answer["Retry-After"] = str(max(1, math.ceil(self.retry_after_s or 30)))
        return answer


class TmdbBusy(TmdbAway):
    """It may not be asked now: by its own word, by our limit, or because it failed too often."""


class TmdbRefused(ApiError):
    """TMDb does not take the token."""

    status = 502


class TmdbUnusable(ApiError):
    """TMDb answered with something that is no answer."""

    status = 502

    def __init__(self, reason: str) -> None:
        super().__init__(f"TMDb {reason}.")


class TmdbLacks(TmdbUnusable):
    """There is nothing at this address, says TMDb itself."""


class TmdbLacksFilm(NotFound):
    def __init__(self, tmdb_id: int) -> None:
        super().__init__(f"TMDb has no film {tmdb_id}.")


class FilmIncomplete(Unprocessable):
    """TMDb does not know what a movie must have; staff can give it."""

    def __init__(self, field: str) -> None:
        super().__init__(f"body.{field}", f"TMDb knows no {field} of this film: give them.")
