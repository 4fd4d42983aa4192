"""The HTTP client of TMDb: typed answers, bounded retries, and a token that never leaks.

No error holds a word of TMDb's answer, and no error keeps an exception of the HTTP library: the
frames of that exception know the request's headers.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any, Literal, TypeVar

import httpx2
import orjson
import stamina
from django.conf import settings
from pydantic import ValidationError

from cinema.metrics.totals import totals
from movies.tmdb.errors import (
    TmdbAway,
    TmdbBusy,
    TmdbLacks,
    TmdbLacksFilm,
    TmdbNotConnected,
    TmdbRefused,
    TmdbUnusable,
)
from movies.tmdb.payloads import Details, FilmPage, GenreList, Payload

P = TypeVar("P", bound=Payload)

#: The details of a film with a thousand people and all its posters have some 500 kB.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_REDIRECTS = 3
#: The longest time of one attempt, from the first byte sent to the last one received.
ATTEMPT_S = 10.0
#: The limits of each read and write; the library has no limit for their sum.
TIMEOUT = httpx2.Timeout(5.0, connect=3.0)

ListName = Literal["trending", "popular", "now-playing"]
PATHS: dict[ListName, str] = {
    "trending": "/trending/movie/week",
    "popular": "/movie/popular",
    "now-playing": "/movie/now_playing",
}


@dataclass(frozen=True)
class Patience:
    """The number and the pauses of the retries of a request.

    Attributes:
        within_s: No attempt begins later than this.
        longest_wait_s: The longest single wait; a longer `Retry-After` is an error at once.
    """

    attempts: int
    within_s: float
    longest_wait_s: float


#: The patience of requests by staff, who wait for the answer.
ASKED = Patience(attempts=3, within_s=10, longest_wait_s=3)
IN_BACKGROUND = Patience(attempts=4, within_s=60, longest_wait_s=60)


class BearerToken(httpx2.Auth):
    """Set the header when a request is sent, so that no request object holds the token."""

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {settings.TMDB_ACCESS_TOKEN}"
        yield request


def connect(patience: Patience = ASKED) -> Client:
    """
    Raises:
        TmdbNotConnected: There is no token, or it cannot be one.
    """
    check_token()
    with _connecting:  # otherwise two threads could open two pools, and one would never be closed
        return Client(_http(settings.TMDB_BASE_URL), patience)


def check_token() -> None:
    """Raise TmdbNotConnected unless TMDB_ACCESS_TOKEN can be a token."""
    token = settings.TMDB_ACCESS_TOKEN
    if not token:
        raise TmdbNotConnected("TMDb is not connected: TMDB_ACCESS_TOKEN is not set.")
    if re.fullmatch(r"[0-9a-f]{32}", token):
        raise TmdbNotConnected("TMDB_ACCESS_TOKEN is an API key, which would appear in URLs.")
    if not re.fullmatch(r"[!-~]+", token):
        raise TmdbNotConnected("TMDB_ACCESS_TOKEN holds characters that no token has.")


def is_connected() -> bool:
    try:
        check_token()
    except TmdbNotConnected:
        return False
    return True


_connecting = Lock()


@lru_cache(maxsize=1)
def _http(base_url: str) -> httpx2.Client:
    """The connection pool of this process, shared by its threads and greenlets."""
    return httpx2.Client(
        base_url=base_url,
        auth=BearerToken(),
        headers={"Accept": "application/json", "User-Agent": "cinema"},
        timeout=TIMEOUT,
        follow_redirects=False,
    )


def disconnect() -> None:
    """Close the connections; the next call opens new ones."""
    _http(settings.TMDB_BASE_URL).close()
    _http.cache_clear()


@dataclass(frozen=True)
class Client:
    """TMDb's API, version 3. Each method raises the errors of `_attempt`."""

    _http: httpx2.Client
    _patience: Patience

    def search(self, query: str, *, year: int | None = None, page: int = 1) -> FilmPage:
        """Search films by title; a page has 20."""
        return self._get(
            "/search/movie", FilmPage, query=query, year=year, page=page, include_adult="false"
        )

    def details(self, tmdb_id: int) -> Details:
        """Fetch a film with credits, keywords, posters and videos.

        Raises:
            TmdbLacksFilm: TMDb does not have the film.
        """
        language, _, _ = settings.TMDB_LANGUAGE.partition("-")
        languages = ",".join(dict.fromkeys([language, "en"]))
        try:
            found = self._get(
                f"/movie/{tmdb_id}",
                Details,
                append_to_response="credits,keywords,images,videos",
                include_image_language=f"{languages},null",
                include_video_language=languages,
            )
        except TmdbLacks:
            raise TmdbLacksFilm(tmdb_id) from None
        if found.id != tmdb_id:
            raise TmdbUnusable("answered with another film")
        return found

    def listed(self, name: ListName, *, page: int = 1) -> FilmPage:
        """Fetch a page of one of TMDb's lists; a page has 20 films."""
        return self._get(PATHS[name], FilmPage, page=page, region=settings.TMDB_REGION or None)

    def genres(self, *, language: str) -> GenreList:
        return self._get("/genre/movie/list", GenreList, language=language)

    def _get(self, path: str, shape: type[P], **parameters: str | int | None) -> P:
        parameters = {"language": settings.TMDB_LANGUAGE, **parameters}
        given = {name: value for name, value in parameters.items() if value is not None}
        for attempt in stamina.retry_context(
            on=self._wait_before_retry,
            attempts=self._patience.attempts,
            timeout=self._patience.within_s,
            wait_initial=0.5,
            wait_max=min(10.0, self._patience.longest_wait_s),
            wait_jitter=0.5,
        ):
            with attempt:
                return self._attempt(path, shape, given)
        raise AssertionError("the loop returns or raises")

    def _wait_before_retry(self, error: Exception) -> bool | float:
        """Whether to retry; seconds where TMDb has named them."""
        if not isinstance(error, TmdbAway):
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s <= self._patience.longest_wait_s and error.retry_after_s

    def _attempt(self, path: str, shape: type[P], parameters: dict[str, Any]) -> P:
        """
        Raises:
            TmdbAway: TMDb does not answer, or answers that it is broken.
            TmdbBusy: TMDb asks for a pause.
            TmdbRefused: TMDb does not accept the token.
            TmdbLacks: TMDb has nothing at this path.
            TmdbUnusable: The answer cannot be read.
        """
        request = self._http.build_request("GET", path, params=parameters)
        for _ in range(MAX_REDIRECTS + 1):
            response, body = self._exchange(request)
            location = response.headers.get("Location")
            if location is None or not 300 <= response.status_code < 400:
                return _parsed(response, body, shape)
            request = self._redirected(request, location)
        raise TmdbUnusable("redirects without end")

    def _redirected(self, request: httpx2.Request, location: str) -> httpx2.Request:
        """Build the next request; the token goes to no other host."""
        try:
            url = request.url.join(location)
        except httpx2.InvalidURL:
            url = None
        if url is None or url.origin != request.url.origin:
            raise TmdbUnusable("redirects to another host")
        return self._http.build_request("GET", url)

    def _exchange(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        deadline = monotonic() + ATTEMPT_S
        outcome = "unreachable"
        try:
            response = self._http.send(request, stream=True)
            outcome = str(response.status_code)
            try:
                return response, _read_body(response, deadline)
            finally:
                response.close()
        except httpx2.HTTPError as error:
            failure = type(error).__name__
        finally:
            totals.add({("tmdb", outcome): 1})
        # Outside the handler: an error raised in it would keep the one that was handled.
        raise TmdbAway(f"cannot be reached ({failure})")


def _read_body(response: httpx2.Response, deadline: float) -> bytes:
    """Read and decompress the body, bounded in size and time."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise TmdbUnusable("answered with an oversized response")
        if monotonic() > deadline:
            raise TmdbAway("answers too slowly")
    return bytes(body)


def _parsed(response: httpx2.Response, body: bytes, shape: type[P]) -> P:
    status, document = response.status_code, _json_object(body)
    if status == 429:
        retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""))
        raise TmdbBusy("is asked too often", retry_after_s=retry_after_s)
    if status >= 500:
        raise TmdbAway(f"answers {status}")
    if status in (401, 403):
        raise TmdbRefused("TMDb refuses the token. Check TMDB_ACCESS_TOKEN.")
    # TMDb's own codes: a 404 without one comes from a wrong address.
    if status == 404 and document is not None and document.get("status_code") in (6, 34):
        raise TmdbLacks("has nothing there")
    if status != 200:
        raise TmdbUnusable(f"answered with the unexpected status {status}. Try again later")
    if document is None:
        raise TmdbUnusable("answered with something that is not JSON")
    try:
        return shape.model_validate(document)
    except ValidationError:
        pass
    raise TmdbUnusable("answered with an unexpected document")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _retry_after_s(text: str) -> float:
    """Parse both forms of `Retry-After`; the result is 1 for a value without sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return max(1.0, float(text[:9]))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 1.0
    left = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    return max(1.0, left.total_seconds())
