"""The client against a real server: what passes is waited for, what does not is said at once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import httpx2
import pytest

from movies.tmdb import client
from movies.tmdb.client import ASKED, IN_BACKGROUND
from movies.tmdb.errors import (
    TmdbAway,
    TmdbBusy,
    TmdbLacksFilm,
    TmdbNotConnected,
    TmdbRefused,
    TmdbUnusable,
)
from tests import tmdb_server as server
from tests.tmdb_payloads import CLEO, cleo, tmdb_film
from tests.tmdb_server import TmdbServer, says

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

PATH = f"/movie/{CLEO}"


@pytest.fixture(autouse=True)
def _cleo(tmdb: TmdbServer) -> None:
    tmdb.add(cleo())


def test_one_request_brings_details_credits_keywords_images_and_videos(
    tmdb: TmdbServer, settings: Settings
) -> None:
    settings.TMDB_LANGUAGE = "de-DE"
    details = client.connect().details(CLEO)
    assert (details.id, details.title, details.runtime) == (CLEO, "Cléo from 5 to 7", 90)
    assert len(details.cast) == len(details.crew) == 3
    assert details.keywords
    assert details.posters
    assert details.videos
    [seen] = tmdb.seen
    assert seen.query == {
        "language": "de-DE",
        "append_to_response": "credits,keywords,images,videos",
        "include_image_language": "de,en,null",
        "include_video_language": "de,en",
    }
    assert seen.headers["Authorization"] == f"Bearer {server.TOKEN}"


def test_searches_and_lists_come_in_pages(tmdb: TmdbServer, settings: Settings) -> None:
    settings.TMDB_REGION = "DE"
    tmdb.add(*(tmdb_film(number) for number in range(1, 46)))
    tmdb.lists["/movie/popular"] = list(range(1, 46))
    asking = client.connect()
    third = asking.search("film", page=3)
    assert [film.id for film in third.results] == [41, 42, 43, 44, 45]
    assert (third.total_pages, third.total_results) == (3, 45)
    assert asking.search("film", page=4).results == []
    assert len(asking.listed("popular", page=2).results) == 20
    assert tmdb.seen[-1].query["region"] == "DE"
    assert asking.search("film", year=1962).results
    assert tmdb.seen[-1].query["year"] == "1962"


def test_without_a_region_none_is_sent(tmdb: TmdbServer) -> None:
    tmdb.lists["/movie/now_playing"] = [CLEO]
    client.connect().listed("now-playing")
    assert "region" not in tmdb.seen[0].query


@pytest.mark.parametrize(
    "trouble",
    [says(500), says(502, b"<html>"), says(503), server.hangs_up, server.breaks_off],
    ids=["500", "502", "503", "reset", "broken off"],
)
def test_a_failed_request_is_tried_again(tmdb: TmdbServer, trouble: server.Behaviour) -> None:
    tmdb.next(PATH, trouble)
    assert client.connect().details(CLEO).title == "Cléo from 5 to 7"
    assert tmdb.paths() == [PATH, PATH]
    assert len(tmdb.waits) == 1
    assert 0.5 <= tmdb.waits[0] <= 1


@pytest.mark.parametrize(("patience", "attempts"), [(ASKED, 3), (IN_BACKGROUND, 4)])
def test_the_number_of_attempts_is_limited(
    tmdb: TmdbServer, patience: client.Patience, attempts: int
) -> None:
    tmdb.always(PATH, says(500))
    with pytest.raises(TmdbAway, match="TMDb answers 500"):
        client.connect(patience).details(CLEO)
    assert len(tmdb.seen) == attempts
    assert sum(tmdb.waits) < patience.within_s


@pytest.mark.parametrize(
    "asked",
    [lambda: "30", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)],
    ids=["seconds", "date"],
)
def test_429_waits_as_long_as_tmdb_asks_for(tmdb: TmdbServer, asked: Callable[[], str]) -> None:
    tmdb.next(PATH, says(429, Retry_After=asked()))
    assert client.connect(IN_BACKGROUND).details(CLEO).id == CLEO
    assert 1 < tmdb.waits[0] <= 30


@pytest.mark.parametrize("asked", ["soon", "-5", "", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_429_without_a_sensible_time_waits_a_second(tmdb: TmdbServer, asked: str) -> None:
    tmdb.next(PATH, says(429, Retry_After=asked))
    assert client.connect().details(CLEO).id == CLEO
    assert tmdb.waits[0] == 1


def test_429_for_longer_than_anybody_waits_is_said_at_once(tmdb: TmdbServer) -> None:
    tmdb.always(PATH, says(429, Retry_After="86400"))
    with pytest.raises(TmdbBusy) as refusal:
        client.connect(IN_BACKGROUND).details(CLEO)
    assert refusal.value.retry_after_s == 86400
    assert (len(tmdb.seen), tmdb.waits) == (1, [])


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_tried_again(tmdb: TmdbServer, status: int) -> None:
    tmdb.always(PATH, says(status, {"status_code": 7}))
    with pytest.raises(TmdbRefused, match="TMDB_ACCESS_TOKEN"):
        client.connect().details(CLEO)
    assert len(tmdb.seen) == 1


def test_a_film_that_is_not_there_is_told_from_a_wrong_address(tmdb: TmdbServer) -> None:
    with pytest.raises(TmdbLacksFilm):
        client.connect().details(404404)
    for body in (b"<html>nginx</html>", {"error": "no such route"}):
        tmdb.always(PATH, says(404, body))
        with pytest.raises(TmdbUnusable, match="unexpected status 404"):
            client.connect().details(CLEO)


@pytest.mark.parametrize(
    "body",
    [b'{"id": 499, "title": "Cl', b"<html>We'll be back</html>", b"", b"[]", b"null", b"\xff",
     b"[" * 100_000, b'{"id": "499"}', b'{"title": "No id"}', b'{"id": 500}'],
    ids=["truncated", "html", "empty", "list", "null", "not UTF-8", "deep", "id as text",
         "no id", "another film"],
)  # fmt: skip
def test_an_unusable_answer_is_one_clear_error(tmdb: TmdbServer, body: bytes) -> None:
    tmdb.always(PATH, says(200, body))
    with pytest.raises(TmdbUnusable, match="TMDb answered with"):
        client.connect().details(CLEO)
    assert len(tmdb.seen) == 1


def test_redirects_within_tmdb_are_followed(tmdb: TmdbServer) -> None:
    tmdb.next("/movie/1", server.redirects(f"/3{PATH}"))
    tmdb.next(PATH, server.redirects(f"{tmdb.url}/movie/1", status=308))
    tmdb.next("/movie/1", server.redirects(f"/3{PATH}"))
    assert client.connect().details(CLEO).id == CLEO
    assert {seen.headers["Authorization"] for seen in tmdb.seen} == {f"Bearer {server.TOKEN}"}


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/3/x", "https://127.0.0.1/", "//evil.example/", "http://["]
)
def test_a_redirect_to_another_host_is_refused(tmdb: TmdbServer, location: str) -> None:
    with server.running() as other:
        tmdb.always(PATH, server.redirects(location.format(port=other.port)))
        with pytest.raises(TmdbUnusable, match="another host"):
            client.connect().details(CLEO)
        assert other.seen == []


def test_redirects_have_an_end(tmdb: TmdbServer) -> None:
    tmdb.always(PATH, server.redirects(f"/3{PATH}"))
    with pytest.raises(TmdbUnusable, match="without end"):
        client.connect().details(CLEO)
    assert len(tmdb.seen) == 4


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip bomb"])
def test_a_giant_answer_is_cut_off(tmdb: TmdbServer, packed: bool) -> None:
    body = b'{"id": 499, "overview": "' + b"a" * (50 * 1024 * 1024) + b'"}'
    headers = {"Content_Encoding": "gzip"} if packed else {}
    tmdb.always(PATH, says(200, gzip.compress(body) if packed else body, **headers))
    with pytest.raises(TmdbUnusable, match="oversized response"):
        client.connect().details(CLEO)


def test_a_packed_answer_is_read(tmdb: TmdbServer) -> None:
    packed = gzip.compress(json.dumps(cleo()).encode())
    tmdb.always(PATH, says(200, packed, Content_Encoding="gzip"))
    assert client.connect().details(CLEO).id == CLEO


@pytest.mark.parametrize("slow", [server.is_slow, server.drips], ids=["silent", "dripping"])
def test_a_slow_answer_is_given_up(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch, slow: server.Behaviour
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", httpx2.Timeout(0.2))
    monkeypatch.setattr(client, "ATTEMPT_S", 0.2)

    def slow_and_the_last(handler: server.Handler) -> None:
        """Let the next attempt, which is good, take long on a busy machine."""
        client._http(tmdb.url).timeout = httpx2.Timeout(60)
        monkeypatch.setattr(client, "ATTEMPT_S", 60)
        slow(handler)

    tmdb.next(PATH, slow, slow_and_the_last)
    assert client.connect().details(CLEO).id == CLEO
    assert len(tmdb.seen) == 3


def test_an_unreachable_server_is_reported(tmdb: TmdbServer, settings: Settings) -> None:
    client.disconnect()
    settings.TMDB_BASE_URL = "http://127.0.0.1:1/3"
    with pytest.raises(TmdbAway, match="cannot be reached"):
        client.connect().details(CLEO)


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "is not set"), ("0123456789abcdef" * 2, "API key"), ("two words", "characters"),
     ("eyJ\nX-Evil: 1", "characters"), ("schlüssel", "characters")],
)  # fmt: skip
def test_an_invalid_token_is_not_sent(
    tmdb: TmdbServer, settings: Settings, token: str, reason: str
) -> None:
    settings.TMDB_ACCESS_TOKEN = token
    with pytest.raises(TmdbNotConnected, match=reason):
        client.connect()
    assert tmdb.seen == []
