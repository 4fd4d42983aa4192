"""The client that the settings ask for: one connection pool, limit and breaker for each process."""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import lru_cache
from threading import Lock

import httpx2
from django.conf import settings

from movies.tmdb.breaker import Breaker
from movies.tmdb.client import ASKED, Client, Patience
from movies.tmdb.errors import TmdbNotConnected
from movies.tmdb.limiting import Limiter

#: For each piece of an exchange; `client.ATTEMPT_S` bounds the whole.
TIMEOUT = httpx2.Timeout(5.0, connect=3.0)


class BearerToken(httpx2.Auth):
    """Puts the token into the header when a request goes out, and keeps it nowhere."""

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {settings.TMDB_ACCESS_TOKEN}"
        yield request


@lru_cache(maxsize=1)
def _http(base_url: str) -> httpx2.Client:
    """One for all threads and greenlets of this process."""
    return httpx2.Client(
        base_url=base_url,
        auth=BearerToken(),
        headers={"Accept": "application/json", "User-Agent": "cinema"},
        timeout=TIMEOUT,
        follow_redirects=False,
    )


@lru_cache(maxsize=1)
def _limiter(per_second: int, processes: int) -> Limiter:
    return Limiter(per_second, processes)


@lru_cache(maxsize=1)
def _breaker() -> Breaker:
    return Breaker()


_connecting = Lock()


def connect(patience: Patience = ASKED) -> Client:
    """A client by the settings.

    Raises:
        TmdbNotConnected: There is no token, or something else in its place.
    """
    check_token()
    with _connecting:  # or two threads that come first would make two of each
        return Client(
            _http(settings.TMDB_BASE_URL),
            patience=patience,
            limiter=_limiter(settings.TMDB_REQUESTS_PER_S, settings.WEB_WORKERS + 1),
            breaker=_breaker(),
        )


def forget() -> None:
    """Close the connections; the next call opens new ones."""
    _http(settings.TMDB_BASE_URL).close()
    for kept in (_http, _limiter, _breaker):
        kept.cache_clear()


def check_token() -> None:
    """Raises TmdbNotConnected unless there is what can be a token."""
    token = settings.TMDB_ACCESS_TOKEN
    if not token:
        raise TmdbNotConnected("TMDb is not connected: TMDB_ACCESS_TOKEN is not set.")
    if re.fullmatch(r"[0-9a-f]{32}", token):
        raise TmdbNotConnected("TMDB_ACCESS_TOKEN holds an API key, which would go into addresses.")
    if not re.fullmatch(r"[!-~]+", token):
        raise TmdbNotConnected("TMDB_ACCESS_TOKEN holds characters that no token has.")
