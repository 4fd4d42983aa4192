"""From the request to the table, whatever is away, dies, or makes no sense."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema.cache import ForgivingRedisCache, shared
from cinema.development.embedded_servers import Servers
from cinema.development.processes import Child, wait_for
from cinema.locks import single_run
from movies.models import Movie
from recommendations.impressions import storage, stream
from recommendations.impressions.stream import note_click
from recommendations.models import Experiment, Impression
from recommendations.tasks import prune_impressions, store_impressions
from tests.audience import ids, listed
from tests.builders import Client, make_movie, make_user
from tests.concurrency import at_once
from tests.running import new_home
from tests.showing import item, left, note, shown, stored
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def films() -> list[Movie]:
    return [make_movie() for _ in range(8)]


def test_impressions_that_cannot_be_sent_wait_for_the_next_request(
    viewer: Client, films: list[Movie], settings: Settings, tmp_path: Path
) -> None:
    standing = settings.CACHES
    dead = {**standing["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}
    settings.CACHES = {"default": dead}
    first = listed(viewer, limit=3)
    settings.CACHES = standing
    ForgivingRedisCache._away_until = 0.0
    assert left() == 0
    second = listed(viewer, limit=3)
    store_impressions()
    assert stored() == [*shown(first), *shown(second)]


@pytest.mark.usefixtures("without_cache")
def test_the_number_of_impressions_held_in_the_process_is_bounded(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(stream.MAX_HELD + 5):
        stream.send("shown", user_id=1, entry={})
    assert len(stream._held) == stream.MAX_HELD
    store_impressions()
    prune_impressions()


def test_the_number_of_impressions_waiting_in_valkey_is_bounded(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_WAITING", 50)
    for _ in range(250):
        note(viewer.user, item(films[0]))
    assert 50 <= left() <= 150  # by whole nodes of the stream


@pytest.fixture
def own_valkey(settings: Settings) -> Iterator[Child]:
    """A Valkey of this test alone, as `make run` starts it."""
    home = new_home()
    servers = Servers(home, postgres=False, valkey=True)
    try:
        servers.start()
        address = f"unix://{servers.sockets.valkey}"
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": address}}
        yield servers.children[0]
    finally:
        servers.stop()
        shutil.rmtree(home.parent)


def test_valkey_may_be_killed_and_started_again(
    own_valkey: Child, viewer: Client, films: list[Movie]
) -> None:
    """Impressions that were noted are there again; those noted meanwhile come after them."""
    before = listed(viewer, limit=2)
    # The last second may be lost: until it is on the disk.
    assert shared().ask(lambda server: server.waitaof(1, 0, 10_000)) == [1, 0]
    own_valkey.kill()
    click = {"movie_id": ids(before)[0]}
    answer = viewer.post(f"/recommendations/{before['list_id']}/clicks", click)
    assert answer.status_code == 204
    meanwhile = listed(viewer, limit=2)
    store_impressions()
    assert stored() == []
    own_valkey.start()
    assert wait_for(lambda: shared().ask(lambda server: server.ping()) is True, timeout_s=60)
    after = listed(viewer, limit=2, refresh=True)
    store_impressions()
    assert stored() == [*shown(before), *shown(meanwhile), *shown(after)]
    assert Impression.objects.exclude(clicked_at=None).get().movie_id == ids(before)[0]


def test_an_interrupted_task_neither_loses_nor_doubles_impressions(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the commit, and then between the commit and the stream."""
    answer = listed(viewer)

    class Killed(BaseException):
        pass

    def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_write", killed)
        with pytest.raises(Killed):
            store_impressions()
    assert stored() == []
    with monkeypatch.context() as patch:
        patch.setattr(stream, "done", killed)
        with pytest.raises(Killed):
            store_impressions()
    assert stored() == shown(answer)
    store_impressions()
    assert stored() == shown(answer)
    assert left() == 0


def test_one_task_at_a_time(viewer: Client, films: list[Movie]) -> None:
    listed(viewer)
    with single_run("recommendations.store_impressions"):
        store_impressions()
    assert stored() == []


def test_impressions_are_stored_block_by_block(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK", 2)
    lists = [note(viewer.user, item(films[0]), item(films[1], 2)) for _ in range(5)]
    with CaptureQueriesContext(connection) as queries:
        assert storage.store_waiting() == 5
    assert sum("INSERT INTO recommendations_impression" in q["sql"] for q in queries) == 3
    assert [list_id for list_id, *_ in stored()] == [each for each in lists for _ in range(2)]


def test_impressions_of_deleted_viewers_and_films_are_left_out(
    viewer: Client, films: list[Movie]
) -> None:
    leaving = make_user()
    note(leaving, item(films[0]))
    note(viewer.user, item(films[0]), item(films[1], 2), release_id=10**9)
    running = Experiment.objects.create(
        name="x", algorithm_a="als", algorithm_b="content", ends_at=timezone.now() + timedelta(1)
    )
    for experiment_id in (running.pk, 10**9):
        note(viewer.user, item(films[2], experiment_id=experiment_id, team="a"))
    leaving.delete()
    films[0].delete()
    store_impressions()
    found = Impression.objects.order_by("shown_at", "position")
    assert {row.user_id for row in found} == {viewer.user.pk}
    assert [(row.movie_id, row.experiment_id, row.team, row.release_id) for row in found] == [
        (films[1].pk, None, "", None),
        (films[2].pk, running.pk, "a", None),
        (films[2].pk, None, "", None),
    ]
    assert left() == 0


MALFORMED: list[tuple[str, bytes]] = [
    ("shown", b"{"),
    ("shown", b"[]"),
    ("shown", b"7"),
    ("shown", b""),
    ("shown", b'"\xff"'),
    ("shown", b"1],[2"),
    ("shown", b'{"list_id": "no uuid"}'),
    ("clicked", b"{"),
    ("clicked", b"[[]]"),
    ("clicked", b'{"list_id": 5}'),
    ("clicked", b'{"list_id": null, "clicked_at": "now"}'),
    ("clicked", b'{"clicked_at": "epoch"}'),
    ("", b"{}"),
    ("danced", b"{}"),
]


def test_invalid_entries_do_not_stop_the_task(
    viewer: Client, films: list[Movie], caplog: pytest.LogCaptureFixture
) -> None:
    key = stream.stream_key()
    good = {"scope": "catalogue", "list_id": str(uuid4()), "user_id": viewer.user.pk}
    good |= {"shown_at": timezone.now(), "release_id": None}
    positions: list[Any] = [-1, 10**6, None, "x"]
    row = [1, films[0].pk, "als", "als", False, None, ""]
    items: list[Any] = [[[place, *row[1:]]] for place in positions]
    items += [7, {}, [[]], [[1, films[0].pk, "a" * 41, "als", False, None, ""]]]
    items += [[[1, films[0].pk, "als", "\0", False, None, ""]]]
    entries = [*MALFORMED, *(("shown", orjson.dumps({**good, "items": each})) for each in items)]
    before = note(viewer.user, item(films[0]))
    for kind, text in entries:
        fields: dict[Any, Any] = {"kind": kind, "user": 1, "text": text}
        shared().ask(lambda server, fields=fields: server.xadd(key, fields))  # type: ignore[misc]
    shared().ask(lambda server: server.xadd(key, {"something": "else"}))
    after = note(viewer.user, item(films[1]))
    with caplog.at_level(logging.ERROR):
        store_impressions()
    assert [list_id for list_id, *_ in stored()] == [before, after]
    assert left() == 0
    refused = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(refused) >= 15


@pytest.mark.django_db(transaction=True)
def test_a_viewer_erased_during_the_task_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the rows are written, and before the commit that looks for their viewers."""
    leaving, staying, film = make_user(), make_user(), make_movie()
    note(leaving, item(film))
    kept = note(staying, item(film))
    note_click(
        user_id=staying.pk, list_id=str(uuid4()), movie_id=film.pk, clicked_at=timezone.now()
    )
    is_early = storage._is_early

    def interrupted(*args: Any) -> bool:
        assert Impression.objects.filter(list_id=kept).exists()
        at_once([User.objects.filter(pk=leaving.pk).delete])
        return is_early(*args)

    monkeypatch.setattr(storage, "_is_early", interrupted)
    store_impressions()
    assert [list_id for list_id, *_ in stored()] == [kept]
    assert left() == 1  # the click, whose impression may still come
