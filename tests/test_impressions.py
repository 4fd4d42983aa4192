"""Impressions: which lists are noted, and how long the notes are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.models import Impression
from recommendations.tasks import prune_impressions, store_impressions
from tests.audience import body, ids, listed, make_audience, rate, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from tests.showing import item, left, note, shown, stored
from users.erasure import erase

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def films() -> list[Movie]:
    return [make_movie() for _ in range(8)]


def test_each_film_that_is_shown_is_in_the_table_once_the_task_has_run(
    viewer: Client, films: list[Movie]
) -> None:
    first = listed(viewer, limit=3)
    second = body(viewer.get("/recommendations/next"))
    assert not Impression.objects.exists()
    store_impressions()
    assert stored() == [*shown(first), *shown(second)]
    assert left() == 0


def test_a_batch_served_again_counts_once(viewer: Client, films: list[Movie]) -> None:
    first = listed(viewer, limit=3)
    for _ in range(3):
        assert listed(viewer, limit=3) == first
        body(viewer.get("/recommendations/next", batch=1))
    assert left() == 1
    store_impressions()
    second = body(viewer.get("/recommendations/next"))
    make_screening(films[0])
    other = listed(viewer, scope="programme")
    assert listed(viewer, limit=3) == first
    store_impressions()
    assert sorted(stored()) == sorted([*shown(first), *shown(second), *shown(other)])


def test_a_film_left_out_at_first_is_noted_when_it_is_shown(
    viewer: Client, films: list[Movie]
) -> None:
    Movie.objects.filter(pk=films[2].pk).update(withdrawn_at=timezone.now())
    without = listed(viewer)
    Movie.objects.filter(pk=films[2].pk).update(withdrawn_at=None)
    assert listed(viewer) == without  # a list gains no films
    Movie.objects.filter(pk=films[3].pk).update(withdrawn_at=timezone.now())
    assert len(ids(listed(viewer))) == len(ids(without)) - 1
    Movie.objects.filter(pk=films[3].pk).update(withdrawn_at=None)
    assert listed(viewer) == without
    store_impressions()
    assert stored() == shown(without)


def test_an_impression_records_the_source_of_the_film(viewer: Client) -> None:
    audience = make_audience(movies_each=16)
    for movie in audience.movies[0]:
        make_screening(movie)
    release = train_release()
    rate(viewer, audience.movies[0][0], 5)
    make_screening()
    asked: list[dict[str, Any]] = [{"limit": 40}, {"scope": "programme", "algorithm": "als"}]
    answers = [listed(viewer, **question) for question in asked]
    store_impressions()
    for answer in answers:
        rows = Impression.objects.filter(list_id=answer["list_id"]).order_by("position")
        assert [row.source for row in rows] == [each["source"] for each in answer["items"]]
        assert {row.scope for row in rows} == {answer["scope"]}
        assert {row.algorithm for row in rows} == {answer["algorithm"]}
        assert {row.release_id for row in rows} == {release.pk}
        assert {row.user_id for row in rows} == {viewer.user.pk}
        assert {row.clicked_at for row in rows} == {None}
    fallbacks = Impression.objects.filter(is_fallback=True).values_list("source", flat=True)
    assert set(fallbacks) == {"programme"}


def test_an_empty_list_is_not_noted(viewer: Client) -> None:
    assert listed(viewer)["items"] == []
    assert left() == 0


def test_exported_lists_are_no_impressions(films: list[Movie], tmp_path: Path) -> None:
    from django.core.management import call_command

    make_user()
    call_command("export_recommendations", output=str(tmp_path / "lists"), verbosity=0)
    assert left() == 0


def test_noting_a_list_costs_no_query(viewer: Client, films: list[Movie]) -> None:
    listed(viewer)
    with CaptureQueriesContext(connection) as queries:
        listed(viewer, refresh=True)
    assert left() == 2
    assert not any("impression" in query["sql"] for query in queries)


# --- how long it is kept


def test_old_impressions_are_deleted_block_by_block(
    viewer: Client, films: list[Movie], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.models.serving.IMPRESSIONS_KEPT_DAYS", 30)
    now = timezone.now()
    for days in (0, 29, 31, 40, 400):
        note(viewer.user, item(films[0]), shown_at=now - timedelta(days=days))
    store_impressions()
    monkeypatch.setattr("cinema.partitions.ROWS_DELETED_AT_ONCE", 2)
    prune_impressions()
    ages = [(now - row.shown_at).days for row in Impression.objects.order_by("-shown_at")]
    assert ages == [0, 29]
    prune_impressions()
    assert Impression.objects.count() == 2


# --- whose it is


def test_waiting_impressions_are_exported_and_erased(
    viewer: Client, films: list[Movie], django_capture_on_commit_callbacks: Any
) -> None:
    other = make_user()
    kept = note(other, item(films[0]))
    answer = listed(viewer)
    click = {"movie_id": films[0].pk}
    viewer.post(f"/recommendations/{answer['list_id']}/clicks", click)
    export = orjson.loads(viewer.get("/users/me/export").getvalue())
    found = export["waiting_impressions"]
    assert [each["kind"] for each in found] == ["shown", "clicked"]
    assert {each["entry"]["list_id"] for each in found} == {answer["list_id"]}
    with django_capture_on_commit_callbacks(execute=True):
        erase(user_id=viewer.user.pk)
    assert left() == 1
    store_impressions()
    assert [list_id for list_id, *_ in stored()] == [kept]
