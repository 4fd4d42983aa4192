"""Asks TMDb: patient with what passes, quick to say what does not, and silent about the token.

What TMDb sends never gets into an error, and no exception of the HTTP library hangs on to one of
ours: its frames know the headers.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from threading import Lock
from time import monotonic, sleep
from typing import Any, Literal, TypeVar

import httpx2
import orjson
import stamina
from django.conf import settings
from pydantic import ValidationError

from movies.tmdb.breaker import Breaker
from movies.tmdb.errors import (
    TmdbAway,
    TmdbBusy,
    TmdbLacks,
    TmdbLacksFilm,
    TmdbNotConnected,
    TmdbRefused,
    TmdbUnusable,
)
from movies.tmdb.limiting import Limiter
from movies.tmdb.payloads import Details, FilmPage, GenreList, Payload

P = TypeVar("P", bound=Payload)

#: Details of a film with a thousand people and all its posters have some 500 kB.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_REDIRECTS = 3
#: Of one attempt, from the first byte sent to the last one received.
ATTEMPT_S = 10.0

#: However long TMDb wants to be left alone: all processes would stand still.
LONGEST_HOLD_S = 60.0

ListName = Literal["trending", "popular", "now-playing"]
PATHS: dict[ListName, str] = {
    "trending": "/trending/movie/week",
    "popular": "/movie/popular",
    "now-playing": "/movie/now_playing",
}


@dataclass(frozen=True)
class Patience:
    """How often and how long an answer is tried for."""

    attempts: int
    #: After which no further attempt begins.
    within_s: float
    #: A single wait: for a slot, before the next attempt, or because TMDb says so.
    longest_wait_s: float


#: Somebody waits for the answer.
ASKED = Patience(attempts=3, within_s=10, longest_wait_s=3)
#: The clock asks, and has time. Fewer attempts than failures open the circuit: one film that TMDb
#: cannot answer for must not stand for TMDb.
IN_BACKGROUND = Patience(attempts=4, within_s=60, longest_wait_s=60)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx2.Headers
    body: bytes


class Client:
    """TMDb, version 3 of its interface. Each method raises what `_attempt` does."""

    def __init__(
        self, http: httpx2.Client, *, patience: Patience, limiter: Limiter, breaker: Breaker
    ) -> None:
        self._http = http
        self._patience = patience
        self._limiter = limiter
        self._breaker = breaker

    def search(self, query: str, *, year: int | None = None, page: int = 1) -> FilmPage:
        """Films by title; 20 to a page."""
        return self._ask(
            "/search/movie", FilmPage, query=query, year=year, page=page, include_adult="false"
        )

    def details(self, tmdb_id: int) -> Details:
        """A film with credits, keywords, posters and videos.

        Raises:
            TmdbLacksFilm: There is no such film, or no more.
        """
        language, _, _ = settings.TMDB_LANGUAGE.partition("-")
        languages = ",".join(dict.fromkeys([language, "en"]))
        try:
            found = self._ask(
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
        """A page of one of TMDb's lists; 20 films."""
        return self._ask(PATHS[name], FilmPage, page=page, region=settings.TMDB_REGION or None)

    def genres(self, *, language: str) -> GenreList:
        return self._ask("/genre/movie/list", GenreList, language=language)

    def _ask(self, path: str, shape: type[P], **parameters: str | int | None) -> P:
        """The answer in the shape, after as many attempts as patience allows."""
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
        """Whether to try again; seconds where TMDb, or the breaker, has named them."""
        if not isinstance(error, TmdbAway):
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s <= self._patience.longest_wait_s and error.retry_after_s

    def _attempt(self, path: str, shape: type[P], parameters: dict[str, Any]) -> P:
        """The answer in the shape.

        Raises:
            TmdbAway: It does not answer, or answers that something is wrong with it.
            TmdbBusy: It may not be asked now.
            TmdbRefused: It does not take the token.
            TmdbLacks: It has nothing there.
            TmdbUnusable: Its answer is none.
        """
        self._breaker.check()
        try:
            answer = self._follow(path, parameters)
            if answer.status == 429:
                self._limiter.hold(min(_retry_after(answer.headers), LONGEST_HOLD_S))
            found = _read(answer, shape)
        except (TmdbBusy, TmdbRefused, TmdbLacks):  # it answers, so it is well
            raise
        except (TmdbAway, TmdbUnusable):
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return found

    def _follow(self, path: str, parameters: dict[str, Any]) -> Answer:
        """The answer, after redirects within TMDb: the token goes to no other host."""
        request = self._http.build_request("GET", path, params=parameters)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._exchange(request)
            if not (300 <= answer.status < 400 and "Location" in answer.headers):
                return answer
            request = self._redirected(request, answer.headers["Location"])
        raise TmdbUnusable("redirects without end")

    def _redirected(self, request: httpx2.Request, location: str) -> httpx2.Request:
        try:
            url = request.url.join(location)
        except httpx2.InvalidURL:
            url = None
        if url is None or url.origin != request.url.origin:
            raise TmdbUnusable("redirects to another host")
        return self._http.build_request("GET", url)

    def _exchange(self, request: httpx2.Request) -> Answer:
        """Send the request when its turn comes, and read the answer."""
        if wait_s := self._limiter.take_slot(self._patience.longest_wait_s):
            sleep(wait_s)
        deadline = monotonic() + ATTEMPT_S
        try:
            response = self._http.send(request, stream=True)
            try:
                body = _read_body(response, deadline)
            finally:
                response.close()
            return Answer(response.status_code, response.headers, body)
        except httpx2.HTTPError as error:
            failure = type(error).__name__
        # Not in the handler: a raised error keeps the one that was being handled.
        raise TmdbAway(f"cannot be reached ({failure})")


def _read_body(response: httpx2.Response, deadline: float) -> bytes:
    """Unpacked. The library's own time limit is for each piece, and has no end in sum."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise TmdbUnusable("answered with more than can be meant")
        if monotonic() > deadline:
            raise TmdbAway("answers too slowly")
    return bytes(body)


def _read(answer: Answer, shape: type[P]) -> P:
    """What the answer says, in the shape."""
    document = _parse(answer.body)
    if answer.status == 429:
        raise TmdbBusy("is asked too often", retry_after_s=_retry_after(answer.headers))
    if answer.status >= 500:
        raise TmdbAway(f"answers {answer.status}")
    if answer.status in (401, 403):
        raise TmdbRefused("TMDb does not take the token: look at TMDB_ACCESS_TOKEN.")
    # Their own code: a 404 without it comes from a wrong address, not from a film that has gone.
    if answer.status == 404 and document is not None and document.get("status_code") in (6, 34):
        raise TmdbLacks("has nothing there")
    if answer.status != 200:
        raise TmdbUnusable(f"answers {answer.status}: is TMDB_BASE_URL right?")
    if document is None:
        raise TmdbUnusable("answered with something that is not JSON")
    if (found := _shaped(document, shape)) is None:
        raise TmdbUnusable("answered with something else than was asked for")
    return found


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _shaped(document: dict[str, Any], shape: type[P]) -> P | None:
    try:
        return shape.model_validate(document)
    except ValidationError:
        return None


def _retry_after(headers: httpx2.Headers) -> float:
    """The seconds that `Retry-After` asks for in either of its forms; 1 where it makes no sense."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return max(1.0, float(text[:9]))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 1.0
    left = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    return max(1.0, left.total_seconds())


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
