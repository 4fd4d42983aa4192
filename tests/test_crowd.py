"""A crowd at both web processes: what was answered stands, and what has ended is refused."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from cinema.development.processes import Child, stop, wait_for
from cinema.programs import ENVIRONMENT
from recommendations.models import Impression, Interaction
from recommendations.tasks import store_impressions
from tests.audience import make_audience, train_release
from tests.builders import API, access_token
from tests.running import ROOT, database_of_this_test, free_port
from users.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real_clock]

PROCESSES = 2
VIEWERS, DEVICES, ROUNDS = 30, 2, 3
#: Viewers whose sessions end meanwhile.
LEAVING = 6
#: The time within which a token is refused after its session has ended, by the contract.
REFUSED_AFTER_S = 1.0
STARTED_WITHIN_S = 300


@dataclass
class Web:
    """The web processes that `make run` starts, on the database of this test."""

    port: int
    child: Child

    def connect(self) -> closing[HTTPConnection]:
        return closing(HTTPConnection("127.0.0.1", self.port, timeout=60))

    def process_of(self, connection: HTTPConnection) -> int | None:
        """The id of the process that has accepted the connection."""
        port = connection.sock.getsockname()[1]
        for process in psutil.Process(self.child.pid).children():
            peers = [each.raddr for each in process.net_connections("tcp4") if each.raddr]
            if any(peer.port == port for peer in peers):
                return process.pid
        return None


@pytest.fixture
def web() -> Iterator[Web]:
    port = free_port()
    child = Child(
        "web",
        [sys.executable, "-m", "cinema.programs", "web"],
        home=Path(os.environ["CINEMA_HOME"]),
        environment=ENVIRONMENT
        | database_of_this_test()
        | {"PORT": str(port), "WEB_WORKERS": str(PROCESSES)},
        directory=ROOT,
    )
    web = Web(port, child)
    try:
        child.start()
        assert wait_for(lambda: answers(web), timeout_s=STARTED_WITHIN_S), child.last_lines()
        yield web
    finally:
        stop([child], timeout_s=5)


def answers(web: Web) -> bool:
    try:
        with web.connect() as connection:
            return ask(connection, "GET", "/health/live")[0] == 200
    except OSError:
        return False


def ask(
    connection: HTTPConnection, method: str, path: str, token: str = "", payload: Any = None
) -> tuple[int, Any]:
    """The status and the JSON of the answer. A request that found no free thread is repeated."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if payload is not None:
        headers["Content-Type"] = "application/json"
    body = None if payload is None else orjson.dumps(payload)
    path = path if path.startswith("/health") else API + path
    for _ in range(60):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 503:
            break
        time.sleep(1)
    return answer.status, orjson.loads(content) if content else None


@dataclass
class Device:
    """One of a viewer's devices, and what it was told.

    Attributes:
        parity: The device rates films whose ids have it, so that no two devices rate the same film.
        fetched: When each fetch began, and the films that it brought.
        rated: By film: stars, and when the rating was acknowledged.
        clicked: List and film of each acknowledged click.
    """

    user: User
    token: str
    parity: int
    fetched: list[tuple[float, set[int]]] = field(default_factory=list)
    rated: dict[int, tuple[float, float]] = field(default_factory=dict)
    clicked: list[tuple[str, int]] = field(default_factory=list)

    def visit(self, web: Web) -> None:
        """Fetch and click over one connection, and rate over another."""
        luck = random.Random(self.user.pk * DEVICES + self.parity)
        with web.connect() as one, web.connect() as other:
            for _ in range(ROUNDS):
                began_at = time.monotonic()
                status, found = ask(one, "GET", "/recommendations", self.token)
                assert status == 200, found
                films = [item["movie"]["id"] for item in found["items"]]
                self.fetched.append((began_at, set(films)))
                self._click(one, found["list_id"], luck.choice(films))
                self._rate(other, next(pk for pk in films if pk % DEVICES == self.parity), luck)

    def _click(self, connection: HTTPConnection, list_id: str, film: int) -> None:
        path = f"/recommendations/{list_id}/clicks"
        status, found = ask(connection, "POST", path, self.token, {"movie_id": film})
        assert status == 204, found
        self.clicked.append((list_id, film))

    def _rate(self, connection: HTTPConnection, film: int, luck: random.Random) -> None:
        stars = luck.randint(1, 10) / 2
        path = f"/movies/{film}/rating"
        status, found = ask(connection, "PUT", path, self.token, {"stars": stars})
        assert status == 200, found
        self.rated[film] = (stars, time.monotonic())


def test_under_a_crowd_nothing_that_was_answered_is_lost_or_wrong(web: Web) -> None:
    audience = make_audience(n_camps=2, viewers_each=(VIEWERS + LEAVING) // 2, movies_each=30)
    train_release(force=True)
    viewers = [viewer for camp in audience.viewers for viewer in camp]
    devices = [
        Device(user, access_token(user), parity)
        for user in viewers[:VIEWERS]
        for parity in range(DEVICES)
    ]
    with ThreadPoolExecutor(len(devices)) as pool:
        visits = [pool.submit(device.visit, web) for device in devices]
        assert_ended_sessions_are_refused(web, [access_token(user) for user in viewers[VIEWERS:]])
        for visit in visits:
            visit.result()
    assert_all_stands(devices)
    assert_no_rated_film_was_shown(devices)


def assert_ended_sessions_are_refused(web: Web, tokens: list[str]) -> None:
    with doors(web) as connections:
        for token in tokens:
            # Each process has seen the session by now, and may remember it.
            seen = [ask(each, "GET", "/users/me", token)[0] for each in connections]
            assert seen == [200] * PROCESSES
            status, sessions = ask(connections[0], "GET", "/users/me/sessions", token)
            assert status == 200
            [session] = sessions["data"]
            path = f"/users/me/sessions/{session['id']}"
            assert ask(connections[0], "DELETE", path, token)[0] == 204
        time.sleep(REFUSED_AFTER_S)
        for token in tokens:
            seen = [ask(each, "GET", "/users/me", token)[0] for each in connections]
            assert seen == [401] * PROCESSES


@contextmanager
def doors(web: Web) -> Iterator[list[HTTPConnection]]:
    """A connection to each process."""
    found: dict[int, HTTPConnection] = {}
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(web.connect())
            ask(connection, "GET", "/health/live")
            if process := web.process_of(connection):
                found.setdefault(process, connection)
            if len(found) == PROCESSES:
                break
        assert len(found) == PROCESSES
        yield [*found.values()]


def assert_all_stands(devices: list[Device]) -> None:
    store_impressions()
    clicked = {
        (user, str(list_id), film)
        for user, list_id, film in Impression.objects.exclude(clicked_at=None).values_list(
            "user_id", "list_id", "movie_id"
        )
    }
    ratings = {
        (user, film): half_stars / 2
        for user, film, half_stars in Interaction.objects.filter(
            kind=Interaction.Kind.RATING
        ).values_list("user_id", "movie_id", "half_stars")
    }
    for device in devices:
        assert len(device.clicked) == len(device.rated) == ROUNDS
        assert clicked >= {(device.user.pk, *click) for click in device.clicked}
        for film, (stars, _) in device.rated.items():
            assert ratings[device.user.pk, film] == stars


def assert_no_rated_film_was_shown(devices: list[Device]) -> None:
    """Check all devices, for ratings that were acknowledged before the fetch began."""
    for one in devices:
        for other in devices:
            if one.user == other.user:
                for began_at, films in one.fetched:
                    before = {film for film, (_, at) in other.rated.items() if at < began_at}
                    assert not before & films
