"""The token goes into one header, and nowhere else."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

import httpx2
import pytest

from movies.tmdb import client
from movies.tmdb.errors import TmdbNotConnected
from tests import tmdb_server as server
from tests.builders import Client
from tests.tmdb_payloads import CLEO, cleo
from tests.tmdb_server import TOKEN, TmdbServer, says

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

PATH = f"/movie/{CLEO}"
#: No log may have a part of the token either.
PARTS = TOKEN.split(".")

TROUBLES = {
    "500": says(500),
    "401": says(401, {"status_code": 7}),
    "429": says(429, Retry_After="9999"),
    "html": says(200, b"<html>"),
    "wrong shape": says(200, {"id": "x"}),
    "reset": server.hangs_up,
    "broken off": server.breaks_off,
    "slow": server.is_slow,
    "elsewhere": server.redirects("https://evil.example/"),
    "a loop": server.redirects(f"/3{PATH}"),
}


def assert_secret(text: str) -> None:
    assert not [part for part in PARTS if part in text], text


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_no_log_and_no_error_holds_the_token(
    tmdb: TmdbServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: server.Behaviour,
) -> None:
    """A traceback with the local variables of every frame is checked too."""
    for logger in ("", "httpx2", "httpcore2", "stamina", "movies.tmdb"):
        caplog.set_level(logging.DEBUG, logger=logger)
    monkeypatch.setattr(client, "TIMEOUT", httpx2.Timeout(0.2))
    tmdb.always(PATH, trouble)
    asking = client.connect()
    with pytest.raises(Exception, match="TMDb") as caught:
        asking.details(CLEO)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    printed = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert_secret("".join(printed.format()))
    assert_secret(repr(error) + repr(vars(error)) + repr(asking) + repr(vars(asking)))
    assert "httpcore2.http11" in {record.name for record in caplog.records}
    assert_secret("".join(f"{r.getMessage()} {vars(r)}" for r in caplog.records))
    assert all(seen.headers["Authorization"] == f"Bearer {TOKEN}" for seen in tmdb.seen)
    assert_secret(repr([(seen.path, seen.query) for seen in tmdb.seen]))


def test_no_log_of_a_success_holds_the_token(
    tmdb: TmdbServer, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in ("", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=logger)
    tmdb.add(cleo())
    assert client.connect().details(CLEO).id == CLEO
    assert {"httpx2", "httpcore2.http11"} <= {record.name for record in caplog.records}
    assert_secret("".join(f"{r.getMessage()} {vars(r)}" for r in caplog.records))


def test_requests_are_not_in_our_log_by_default() -> None:
    """Each line would have what staff searched for."""
    assert not logging.getLogger("httpx2").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore2.http11").isEnabledFor(logging.DEBUG)


@pytest.mark.django_db
def test_no_answer_to_staff_holds_the_token(tmdb: TmdbServer, staff: Client) -> None:
    for trouble in (says(401), says(500), says(200, TOKEN.encode())):
        tmdb.always(PATH, trouble)
        answer = staff.post("/movies/from-tmdb", {"tmdb_id": CLEO, "start_date": "2026-12-03"})
        assert answer.status_code in (502, 503)
        assert_secret(answer.content.decode() + repr(answer.headers))


def test_a_key_is_not_shown_when_it_is_refused(settings: Settings, tmdb: TmdbServer) -> None:
    settings.TMDB_ACCESS_TOKEN = key = "0123456789abcdef" * 2
    with pytest.raises(TmdbNotConnected) as caught:
        client.connect()
    assert key not in caught.value.detail
