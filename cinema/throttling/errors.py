from __future__ import annotations

from django.http import HttpResponse

from cinema.errors import ApiError
from cinema.throttling.rates import whole_seconds


class TooManyRequests(ApiError):
    """Refused before anything was done. Says when to come back, and nothing of whom it counts."""

    status = 429

    def __init__(self, wait_s: float, what: str = "requests") -> None:
        self.wait_s = whole_seconds(wait_s)
        seconds = "second" if self.wait_s == 1 else "seconds"
        super().__init__(f"Too many {what}. Try again in {self.wait_s} {seconds}.")

    def response(self) -> HttpResponse:
        response = super().response()
        response["Retry-After"] = str(self.wait_s)
        return response


class TooManyAttempts(TooManyRequests):
    """Passwords were guessed, from there or of that account; this one was not looked at."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s, "wrong passwords")
