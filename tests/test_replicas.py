"""Reads go to a replica if it has all that the caller may have seen. Real streaming replication."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.conf import settings as product
from django.db import connection, connections, transaction
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from cinema import doctor, replicas
from cinema.development.processes import wait_for
from cinema.metrics.exposition import AllMetrics
from cinema.replicas import Replica
from movies.models import Movie
from recommendations.dataset import load_dataset
from recommendations.matches.services import match_all
from tests.audience import rate
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.matching import like, make_films, make_viewer
from tests.replication import ALIAS, Standby, read_from
from tests.tastes import publish_release
from users.auth import keep_position
from users.erasure import erase
from users.models import Session

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", ALIAS]),
    pytest.mark.skipif(not product.EMBEDDED_POSTGRES, reason="it copies the embedded server"),
]

RATINGS, PLAYLISTS = "/users/me/ratings", "/playlists?per_page=50"


@pytest.fixture(scope="module", autouse=True)
def standby(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Standby]:
    server = Standby()
    with django_db_blocker.unblock():
        try:
            server.copy_primary()
            server.start()
            # Django asks before each test whether it knows the database.
            connections.settings[ALIAS] = server.database
            yield server
        finally:
            server.remove()
            connections.settings.pop(ALIAS, None)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is slow on a busy machine must not count as away."""
    monkeypatch.setattr(replicas, "ANSWER_KEPT_S", 30.0)
    monkeypatch.setattr(replicas, "LONGEST_LAG_S", 60.0)
    monkeypatch.setattr(replicas, "PATIENCE_S", 60.0)


@pytest.fixture
def replica(db: None, standby: Standby) -> Iterator[Replica]:
    with read_from(standby) as replica:
        caught_up(replica)
        yield replica
        if not standby.is_running():  # the test that has stopped it has failed
            standby.start()
        standby.go_on()
        standby.delay("0")
        standby.resume()


def position() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        return int(cursor.fetchone()[0])


def caught_up(replica: Replica) -> None:
    now = position()
    assert wait_for(lambda: replica.holds(now), timeout_s=60), replica._problem


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """The number of statements of this thread by database."""
    counts = dict.fromkeys(("default", ALIAS), 0)

    def count(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        counts[context["connection"].alias] += 1
        return execute(sql, parameters, many, context)

    with ExitStack() as stack:
        for alias in counts:
            stack.enter_context(connections[alias].execute_wrapper(count))
        yield counts


def names(client: Client, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return [row.get("name") or row["movie"]["name"] for row in answer.json()["data"]]


def read_until_replica(replica: Replica, read: Callable[[], Any]) -> dict[str, int]:
    """Repeat a read until the replica answers it; return the statements of the last one.

    The response must not come from memory.
    """
    read()  # raises what it has to raise first, such as the position of a new release
    counts: dict[str, int] = {}

    def is_read_there() -> bool:
        nonlocal counts
        caught_up(replica)
        with counted() as counts:
            read()
        return counts[ALIAS] > 0

    # A replica that was too slow once is left out for a moment.
    assert wait_for(is_read_there, timeout_s=60), replica._problem
    return counts


def read_twice(replica: Replica, read: Callable[[], Any]) -> None:
    """As `read_until_replica`, where the second response may come from memory."""
    read()
    caught_up(replica)
    read()


# --- where reads go


def test_lists_are_read_from_the_replica_and_tokens_from_the_primary(
    replica: Replica, viewer: Client
) -> None:
    rate(viewer, make_movie(name="Vagabond"), 4)
    counts = read_until_replica(replica, lambda: names(viewer, RATINGS))
    assert counts["default"] <= 3  # the token, and the versions of the catalogue
    assert names(viewer, RATINGS) == ["Vagabond"]


def test_public_lists_and_analytics_and_the_export_are_read_from_the_replica(
    replica: Replica, viewer: Client, staff: Client
) -> None:
    make_screening()
    paths = ["/movies?q=vag", "/movies/popular", "/screenings", "/analytics/recommendations"]
    for path in paths:
        read_until_replica(replica, lambda path=path: staff.get(path))  # type: ignore[misc]
    counts = read_until_replica(replica, lambda: b"".join(viewer.get("/users/me/export")))
    assert counts[ALIAS] > 10
    assert counts["default"] <= 3


def test_writes_go_to_the_primary_alone(replica: Replica, viewer: Client) -> None:
    movie = make_movie()
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    with counted() as counts:
        assert rate(viewer, movie, 4).status_code == 200
    assert counts[ALIAS] == 0


def test_the_training_reads_all_that_is_committed(replica: Replica, standby: Standby) -> None:
    movie, users = make_movie(), [make_user() for _ in range(3)]
    for user in users:
        interact(user, movie, "like")
    with counted() as counts:
        dataset = load_dataset()
    assert dataset.interactions.nnz == 3
    assert counts == {"default": 1, ALIAS: counts[ALIAS]}  # the position
    assert counts[ALIAS] > 3


def test_the_training_reads_from_the_primary_while_no_replica_has_everything(
    replica: Replica, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "PATIENCE_S", 0.5)
    standby.pause()
    interact(make_user(), make_movie(), "like")
    with counted() as counts:
        assert load_dataset().interactions.nnz == 1
    assert counts[ALIAS] == 0


# --- own writes


@pytest.mark.parametrize("delay", ["0", "300ms", "1h"])
def test_viewers_read_their_own_writes_at_once(
    replica: Replica, standby: Standby, viewer: Client, delay: str
) -> None:
    films = [make_movie() for _ in range(12)]
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    standby.delay(delay)
    for number, film in enumerate(films, start=1):
        rate(viewer, film, 4)
        assert len(names(viewer, RATINGS)) == number
        assert viewer.post("/playlists", {"name": f"List {number}"}).status_code == 201
        assert len(names(viewer, PLAYLISTS)) == number
        assert viewer.get("/users/me/statistics").json()["counts"]["ratings"] == number


def test_a_write_on_one_device_is_read_on_another(
    replica: Replica, standby: Standby, viewer: Client
) -> None:
    other = Client(viewer.user)
    for client in (viewer, other):
        read_until_replica(replica, lambda client=client: names(client, PLAYLISTS))  # type: ignore[misc]
    standby.pause()
    viewer.post("/playlists", {"name": "Sunday"})
    assert names(other, PLAYLISTS) == ["Sunday"]
    assert names(Client(viewer.user), PLAYLISTS) == ["Sunday"]  # has signed in since


def test_another_viewer_goes_on_reading_from_the_replica(
    replica: Replica, standby: Standby, viewer: Client
) -> None:
    """And the writer comes back to it."""
    other = Client(make_user())
    for client in (viewer, other):
        read_until_replica(replica, lambda client=client: names(client, RATINGS))  # type: ignore[misc]
    standby.pause()
    viewer.post("/playlists", {"name": "Sunday"})
    assert wait_for(lambda: reads(other)[ALIAS] > 0, timeout_s=30)
    with counted() as counts:
        names(viewer, PLAYLISTS)
    assert counts[ALIAS] == 0
    standby.resume()
    read_until_replica(replica, lambda: names(viewer, PLAYLISTS))
    assert names(viewer, PLAYLISTS) == ["Sunday"]


def test_a_change_in_the_background_counts_as_the_viewers_own(
    replica: Replica, standby: Standby, viewer: Client
) -> None:
    """The taste version tells of it, as no request has kept a position."""
    movie = make_movie(name="Vagabond")
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    standby.pause()
    interact(viewer.user, movie, "rating", half_stars=8)
    assert names(viewer, RATINGS) == ["Vagabond"]


def test_without_the_cache_the_own_write_is_read_too(
    replica: Replica, standby: Standby, viewer: Client, without_cache: None
) -> None:
    read_until_replica(replica, lambda: names(viewer, PLAYLISTS))
    standby.pause()
    viewer.post("/playlists", {"name": "Sunday"})
    assert names(viewer, PLAYLISTS) == ["Sunday"]


def test_a_write_whose_position_cannot_be_kept_is_not_confirmed(
    replica: Replica, viewer: Client
) -> None:
    def fail(user_id: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    keeper = replicas._keepers[0]
    replicas.register_position_keeper(fail)
    try:
        assert viewer.post("/playlists", {"name": "Sunday"}).status_code == 503
    finally:
        replicas.register_position_keeper(keeper)
        connection.close()


def test_a_refused_write_keeps_no_position(replica: Replica, viewer: Client) -> None:
    assert viewer.post("/playlists", {"name": ""}).status_code == 422
    assert viewer.post("/graphql", {"query": "{ __typename }"}).status_code == 200
    [session] = Session.objects.all()
    first = session.wal_position  # of GraphQL's first look at the token
    assert viewer.post("/graphql", {"query": "{ __typename }"}).status_code == 200
    session.refresh_from_db()
    assert session.wal_position == first


def test_writes_at_once_do_not_deadlock(replica: Replica, viewer: Client) -> None:
    clients = [Client(viewer.user) for _ in range(4)]
    statuses: list[int] = []

    def write(client: Client) -> None:
        try:
            for number in range(10):
                answer = client.post("/playlists", {"name": f"List {number}"})
                statuses.append(answer.status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 40


# --- the catalogue


def test_all_see_at_once_what_staff_have_changed(
    replica: Replica, standby: Standby, staff: Client, anonymous: Client
) -> None:
    movie = make_movie(name="Old")
    for client in (staff, anonymous):
        read_twice(replica, lambda client=client: names(client, "/movies"))  # type: ignore[misc]
    standby.pause()
    assert staff.patch(f"/movies/{movie.pk}", {"name": "New"}).status_code == 200
    for path in ("/movies", "/movies/trending", "/movies?q=new"):
        assert names(staff, path) == names(anonymous, path) == ["New"], path
    assert anonymous.get(f"/movies/{movie.pk}").json()["name"] == "New"
    standby.resume()
    caught_up(replica)
    assert names(anonymous, "/movies") == ["New"]


def test_staff_see_their_change_at_once_through_a_process_that_knows_nothing_of_it(
    replica: Replica, standby: Standby, staff: Client, settings: Settings
) -> None:
    movie = make_movie(name="Old")
    settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    read_until_replica(replica, lambda: names(staff, "/movies"))
    standby.pause()
    Movie.objects.filter(pk=movie.pk).update(name="New")
    keep_position(staff.user.pk)  # as the other process does after the write
    for path in ("/movies", "/movies?q=new"):
        assert names(staff, path) == ["New"], path
    assert staff.get(f"/movies/{movie.pk}").json()["name"] == "New"


def test_a_change_by_another_process_is_not_kept_in_its_old_state(
    replica: Replica, standby: Standby, anonymous: Client
) -> None:
    """The version comes from the primary; what is kept under it must not come from before."""
    movie = make_movie(name="Old")
    read_twice(replica, lambda: names(anonymous, "/movies"))
    standby.pause()
    Movie.objects.filter(pk=movie.pk).update(name="New")  # a trigger raises the version
    assert names(anonymous, "/movies") == ["New"]
    standby.resume()
    caught_up(replica)
    assert names(anonymous, "/movies") == ["New"]


# --- replicas that fail


def reads(client: Client) -> dict[str, int]:
    with counted() as counts:
        assert client.get(RATINGS).status_code == 200
    return counts


def test_a_replica_an_hour_behind_is_left_out_and_comes_back(
    replica: Replica, standby: Standby, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LONGEST_LAG_S", 1.0)
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    standby.delay("1h")
    assert wait_for(lambda: reads(viewer)[ALIAS] > 0, timeout_s=30)

    def falls_behind() -> bool:
        make_movie()  # the first ones may come before the standby has read the setting
        return not replica.holds(0)

    assert wait_for(falls_behind, timeout_s=30)
    assert replica._problem == replicas.TOO_FAR_BEHIND
    assert reads(viewer)[ALIAS] == 0
    standby.delay("0")
    assert wait_for(lambda: replica.holds(0), timeout_s=30)
    read_until_replica(replica, lambda: names(viewer, RATINGS))


def test_a_viewer_who_has_withdrawn_is_named_by_no_answer(
    replica: Replica, standby: Standby, viewer: Client, settings: Settings
) -> None:
    """The replica still has the consent when the next answer is made, and a list is kept."""
    settings.MATCH_SHRINKAGE = 1
    films, match = make_films(6), make_viewer("Match")
    like(viewer.user, films[:4])
    like(match, films[:5])
    match_all()
    publish_release()

    def named() -> list[str]:
        items = viewer.get("/recommendations").json()["items"]
        return [other["name"] for item in items for other in item["matched_users"]]

    def matches() -> list[str]:
        return [other["user"]["name"] for other in viewer.get("/matches").json()["data"]]

    read_twice(replica, named)
    assert (named(), matches()) == (["Match"], ["Match"])
    standby.pause()
    hidden = {"genres": [], "languages": [], "match_visible": False}
    assert Client(match).put("/users/me/preferences", hidden).status_code == 200
    assert [named(), named(), matches()] == [[], [], []]


def test_an_erased_viewer_is_no_match_any_more(
    replica: Replica, standby: Standby, viewer: Client, settings: Settings
) -> None:
    settings.MATCH_SHRINKAGE = 1
    films = make_films(5)
    erased, left = make_viewer("Erased"), make_viewer("Left")
    for each in (viewer.user, erased, left):
        like(each, films)
    match_all()

    def matches() -> list[str]:
        return [other["user"]["name"] for other in viewer.get("/matches").json()["data"]]

    read_until_replica(replica, matches)
    assert matches() == ["Erased", "Left"]
    standby.pause()
    erase(user_id=erased.pk)
    assert matches() == ["Left"]


def test_a_transaction_on_a_replica_goes_on_there(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught_up(replica)

    def use() -> list[str]:
        found = [replicas.alias()]
        with transaction.atomic(using=ALIAS):
            monkeypatch.setattr(replicas._floor, "position", replicas.UNREACHABLE)
            found.append(replicas.alias())
        return [*found, replicas.alias()]

    assert replicas.read(use) == [ALIAS, ALIAS, "default"]


def test_a_replica_that_stops_costs_no_request_and_comes_back(
    replica: Replica, standby: Standby, viewer: Client, anonymous: Client
) -> None:
    rate(viewer, make_movie(name="Vagabond"), 4)
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    standby.stop()
    assert names(viewer, RATINGS) == ["Vagabond"]  # the next request, before the watch has noticed
    assert names(anonymous, "/movies?q=vag") == ["Vagabond"]
    assert wait_for(lambda: not replica.holds(0), timeout_s=30)
    assert reads(viewer)[ALIAS] == 0
    standby.start()
    read_until_replica(replica, lambda: names(viewer, RATINGS))


def test_a_replica_that_hangs_delays_the_first_requests_alone(
    replica: Replica, standby: Standby, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate(viewer, make_movie(name="Vagabond"), 4)
    read_until_replica(replica, lambda: names(viewer, RATINGS))
    monkeypatch.setattr(replicas, "ANSWER_KEPT_S", 1.5)
    standby.hang()
    try:
        began = time.monotonic()
        assert names(viewer, RATINGS) == ["Vagabond"]
        assert time.monotonic() - began < 60
        assert wait_for(lambda: not replica.holds(0), timeout_s=30)
        assert reads(viewer)[ALIAS] == 0
    finally:
        standby.go_on()
    read_until_replica(replica, lambda: names(viewer, RATINGS))


def test_a_cancelled_query_is_repeated_on_the_primary(
    replica: Replica, standby: Standby, viewer: Client
) -> None:
    """Postgres cancels a read that conflicts with the replay of the log."""
    rate(viewer, make_movie(name="Vagabond"), 4)
    read_until_replica(replica, lambda: names(viewer, RATINGS))

    def refuse(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        return execute(
            "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)", None, False, context
        )

    with connections[ALIAS].execute_wrapper(refuse):
        assert names(viewer, RATINGS) == ["Vagabond"]


def exported() -> list[tuple[str, str, float]]:
    """The state of the replicas, as this process tells Prometheus."""
    return [
        (sample.name, sample.labels["replica"], sample.value)
        for family in AllMetrics().collect()
        for sample in family.samples
        if family.name == "cinema_replica_up"
    ]


def test_a_sound_replica_is_told_to_prometheus_and_the_doctor(replica: Replica) -> None:
    assert wait_for(lambda: exported() == [("cinema_replica_up", "1", 1.0)], timeout_s=60)
    assert [*doctor.check_replicas()] == []


def test_a_replica_is_read_from_after_the_log_has_gone_on_in_a_new_file(
    replica: Replica, standby: Standby
) -> None:
    """The primary's position is then behind the header of the file, and no record follows."""
    make_movie()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_switch_wal()")
    now = position()
    end = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint"
    assert wait_for(lambda: standby.run(end)[0] >= now - replicas.PAGE_HEADER_BYTES, timeout_s=60)
    assert wait_for(lambda: replica.holds(now), timeout_s=60)


def test_a_promoted_replica_is_left_out(
    db: None, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Standby()
    try:
        server.copy_primary()
        server.start()
        with read_from(server) as replica:
            caught_up(replica)
            read_until_replica(replica, lambda: names(viewer, RATINGS))
            server.promote()
            assert wait_for(lambda: not replica.holds(0), timeout_s=30)
            assert replica.problem == "it is not a replica, or no longer"
            assert reads(viewer)[ALIAS] == 0
            assert ("cinema_replica_up", "1", 0.0) in exported()
            monkeypatch.setattr(replicas, "LONGEST_LAG_S", 0.1)
            [finding] = doctor.check_replicas()
            assert finding.is_fault
            assert "it is not a replica, or no longer" in finding.what
    finally:
        server.remove()


def test_the_primary_is_no_replica_of_itself(db: None, viewer: Client, standby: Standby) -> None:
    """A wrong address is not read from."""
    primary = Standby()
    primary.remove()
    primary.directory = type(primary.directory)(connection.settings_dict["HOST"])
    with read_from(primary) as replica:
        assert reads(viewer)[ALIAS] == 0
        assert wait_for(lambda: replica._problem.startswith("it is not"), timeout_s=30)
        assert not replica.holds(0)
        assert reads(viewer)[ALIAS] == 0


def test_after_an_absence_of_the_primary_a_replica_needs_all_of_its_log(
    replica: Replica, standby: Standby
) -> None:
    """A crash may have lost positions that were not on the disk yet."""
    standby.pause()
    make_movie()
    time.sleep(2 * replicas.INTERVAL_S)
    assert replica.holds(0)  # it lags, and not for long
    replica._is_primary_away = True  # as after a failed look
    assert wait_for(lambda: not replica.holds(0), timeout_s=30)
    standby.resume()
    caught_up(replica)
