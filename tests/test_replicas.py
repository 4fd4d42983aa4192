"""Reads go to a replica if it has all that the caller may have seen. Real streaming replication."""

from __future__ import annotations

import threading

import pytest
from django.conf import settings as product
from django.db import connection, connections
from pytest_django.fixtures import Settings

from cinema import replicas
from cinema.development.processes import wait_for
from cinema.replicas import Replica
from movies.models import Movie
from recommendations.dataset import load_dataset
from tests.audience import rate
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.replication import (
    ALIAS,
    RATINGS,
    Standby,
    caught_up,
    counted,
    names,
    read_twice,
    read_until_replica,
    reads,
)
from users.auth import keep_position
from users.models import Session

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", ALIAS]),
    pytest.mark.skipif(not product.EMBEDDED_POSTGRES, reason="it copies the embedded server"),
    pytest.mark.usefixtures("standby", "patient_replicas"),
]

PLAYLISTS = "/playlists?per_page=50"


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
