"""Limits of all requests, by address and by account, in a moving window; not to be evaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine
from django.db import connection
from pytest_django.fixtures import Settings

from cinema.throttling import counters
from cinema.throttling.counters import Rate, hidden_name, rate
from cinema.variables import networks
from tests.api_document import document
from tests.builders import Client, make_user
from tests.outages import database_refusing
from tests.throttling import LOGIN, NOON, assert_refused, get, login, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


# --- the window


@pytest.mark.parametrize(
    ("elapsed", "current", "previous", "wait_s"),
    [
        (0, 0, 0, 0),
        (0, 9, 0, 0),
        (0, 10, 0, 66),  # all of them count as long as the period lasts, and then less and less
        (30, 10, 0, 36),
        (0, 0, 10, 6),  # a tenth of the period, and nine of the ten are left
        (6, 0, 10, 0),
        (6, 1, 10, 6),
        (30, 5, 10, 6),
        (30, 4, 10, 0),
        (59, 9, 10, 1),
        (0, 1000, 0, 119),  # what passed the limit keeps others out for longer
    ],
)
def test_the_window_slides(elapsed: float, current: int, previous: int, wait_s: float) -> None:
    found = Rate(10, 60).wait_s(NOON + elapsed, current, previous)
    assert found == pytest.approx(wait_s, abs=0.5)


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_caller_is_let_in_after_the_stated_wait_and_not_before(
    limit: int, clock: time_machine.Traveller
) -> None:
    allowed = Rate(limit, 60)
    names = [hidden_name("address", "192.0.2.1")]
    clock.move_to(NOON + 13)
    for _ in range(limit):
        assert counters.take(allowed, names) == 0
    for _ in range(5):
        wait_s = counters.take(allowed, names)
        assert wait_s > 1
        clock.shift(wait_s - 0.5)
        assert 0 < counters.take(allowed, names) < 1
        clock.shift(0.5 + 1e-3)
        assert counters.take(allowed, names) == 0


def test_rates_are_written_as_people_say_them() -> None:
    assert rate("30/min") == Rate(30, 60)
    assert rate("20/h") == Rate(20, 3600)
    assert rate("OFF") is None
    for nonsense in ("30", "-1/min", "1.5/s", "30/", "/min", "²/min", "30/min/h"):
        with pytest.raises(ValueError, match="expected something like"):
            rate(nonsense)


# --- who is not signed in


def test_requests_from_exempt_addresses_are_not_counted_in_general(settings: Settings) -> None:
    settings.THROTTLE_ANONYMOUS = settings.THROTTLE_VIEWER = Rate(2, 60)
    settings.THROTTLE_EXEMPT, settings.NUM_PROXIES = networks("127.0.0.0/8"), 1
    assert statuses(4) == [200] * 4
    assert {get("/users/me", of=viewer).status_code for viewer in [Client(make_user())] * 4} == {
        200
    }
    assert statuses(4, at="192.0.2.1") == [200, 200, 429, 429]


def test_a_tight_limit_holds_for_this_machine_too(settings: Settings) -> None:
    settings.THROTTLE_LOGIN, settings.THROTTLE_EXEMPT = Rate(2, 60), networks("127.0.0.0/8")
    answers = [Client().send("POST", "/auth/login", LOGIN).status_code for _ in range(3)]
    assert answers == [401, 401, 429]


def test_an_address_has_a_limit_and_is_told_when_to_come_back(
    settings: Settings, clock: time_machine.Traveller
) -> None:
    settings.THROTTLE_ANONYMOUS = Rate(3, 60)
    assert statuses(3) == [200] * 3
    assert_refused(get(), 80)
    assert_refused(get("/movies"), 80)
    assert_refused(get("/"), 80)
    clock.shift(79)
    assert get().status_code == 429
    clock.shift(1)
    assert get().status_code == 200


def test_probes_and_posters_are_not_counted(settings: Settings) -> None:
    settings.THROTTLE_ANONYMOUS = Rate(1, 60)
    for path in ("/health/live", "/media/posters/none.webp"):
        assert {get(path).status_code for _ in range(3)} <= {200, 404}, path
    assert get().status_code == 200


def test_a_refused_request_is_not_counted(
    settings: Settings, clock: time_machine.Traveller
) -> None:
    settings.THROTTLE_ANONYMOUS, settings.THROTTLE_LOGIN = Rate(1, 60), Rate(1, 60)
    get()
    for _ in range(50):
        assert_refused(get(), 120)
    clock.shift(120)
    assert login().status_code == 401
    settings.THROTTLE_ANONYMOUS = None
    for _ in range(50):
        assert_refused(login(), 120)
    clock.shift(120)
    assert login().status_code == 401


def test_a_forwarded_address_counts_behind_a_proxy_alone(settings: Settings) -> None:
    settings.THROTTLE_ANONYMOUS = Rate(2, 60)
    forged = [get(at=f"192.0.2.{n}").status_code for n in range(3)]
    assert forged == [200, 200, 429]
    settings.NUM_PROXIES = 1
    for caller in ("192.0.2.1", "192.0.2.2"):
        lies = [f"203.0.113.{n}, {caller}" for n in range(3)]
        assert [get(at=lie).status_code for lie in lies] == [200, 200, 429]


@pytest.mark.parametrize("authorization", ["Bearer nonsense", "Basic bm9ib2R5", "Bearer", "x"])
def test_an_invalid_token_evades_no_limit(settings: Settings, authorization: str) -> None:
    """`/genres` looks at no token; `/users/me` refuses it."""
    settings.THROTTLE_ANONYMOUS = Rate(4, 60)

    def ask(path: str) -> int:
        headers = {"Authorization": authorization}
        return Client().send("GET", path, headers=headers).status_code

    assert [ask(path) for path in ("/genres", "/users/me") * 2] == [200, 401] * 2
    assert [ask(path) for path in ("/genres", "/users/me")] == [429] * 2
    assert get().status_code == 429


def test_a_good_token_is_counted_for_its_viewer_where_nobody_asks_for_it(
    settings: Settings, viewer: Client
) -> None:
    """Or one token would open whatever looks at none, once the address has used up its own."""
    settings.THROTTLE_ANONYMOUS, settings.THROTTLE_VIEWER = Rate(2, 60), Rate(3, 60)
    assert statuses(2) == [200] * 2
    assert statuses(4, of=viewer) == [200] * 3 + [429]


# --- who is signed in


def test_a_viewer_has_a_limit_wherever_they_are_and_neighbours_do_not_count(
    settings: Settings, viewer: Client
) -> None:
    settings.NUM_PROXIES = 1
    settings.THROTTLE_ANONYMOUS, settings.THROTTLE_VIEWER = Rate(1, 60), Rate(3, 60)
    assert statuses(2, at="192.0.2.1") == [200, 429]
    asked = [get("/users/me", of=viewer, at=f"192.0.2.{n}").status_code for n in range(1, 5)]
    assert asked == [200, 200, 200, 429]
    assert get("/users/me", of=Client(make_user())).status_code == 200


def test_staff_have_a_limit_of_their_own(settings: Settings, staff: Client) -> None:
    settings.THROTTLE_VIEWER, settings.THROTTLE_STAFF = Rate(1, 60), Rate(3, 60)
    assert [get("/audit", of=staff).status_code for _ in range(4)] == [200] * 3 + [429]


def test_graphql_counts_like_all_else_and_has_a_limit_of_its_own(
    settings: Settings, viewer: Client
) -> None:
    question = {"query": "{ __typename }"}
    settings.THROTTLE_GRAPHQL = Rate(3, 60)
    assert [Client().post("/graphql", question).status_code for _ in range(4)] == [200] * 3 + [429]
    settings.THROTTLE_GRAPHQL, settings.THROTTLE_VIEWER = None, Rate(2, 60)
    assert [viewer.post("/graphql", question).status_code for _ in range(3)] == [200] * 2 + [429]
    settings.THROTTLE_ANONYMOUS = Rate(1, 60)
    assert [Client().post("/graphql", question).status_code for _ in range(2)] == [200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_a_throttled_token_without_postgres_is_503(
    settings: Settings,
) -> None:
    settings.THROTTLE_ANONYMOUS = Rate(1, 60)
    viewer = Client(make_user())
    assert statuses(2) == [200, 429]
    with database_refusing():
        answer = get(of=viewer)
        connection.close()
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


def test_every_operation_documents_it() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            found = operation["responses"][429]
            assert "application/problem+json" in found["content"], (method, path)
            assert found["headers"]["Retry-After"]["schema"]["minimum"] == 1
