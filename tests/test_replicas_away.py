"""Replicas that lag, stop, hang or are promoted. Real streaming replication."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings as product
from django.db import connection, connections, transaction
from pytest_django.fixtures import Settings

from cinema import doctor, replicas
from cinema.development.processes import wait_for
from cinema.metrics.exposition import AllMetrics
from cinema.replicas import Replica
from recommendations.matches.services import match_all
from tests.audience import rate
from tests.builders import Client, make_movie
from tests.matching import like, make_films, make_viewer
from tests.replication import (
    ALIAS,
    RATINGS,
    Standby,
    caught_up,
    names,
    position,
    read_from,
    read_twice,
    read_until_replica,
    reads,
)
from tests.tastes import publish_release
from users.erasure import erase

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", ALIAS]),
    pytest.mark.skipif(not product.EMBEDDED_POSTGRES, reason="it copies the embedded server"),
    pytest.mark.usefixtures("standby", "patient_replicas"),
]


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


def test_the_reason_is_known_once_a_replica_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads look at any moment, such as while the line of the log is written."""
    left_out, seen = Replica(ALIAS), list[str]()
    left_out._problem = ""
    monkeypatch.setattr(replicas.log, "warning", lambda *_: seen.append(left_out.problem))
    left_out.leave_out("it hangs")
    assert seen == ["it hangs"]


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
