"""The summary of figures: the same as counted now, never old for its viewer, gone with them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from kombu.exceptions import OperationalError as BrokerAway
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from cinema.locks import single_run
from movies.models import Genre, Movie
from recommendations import tasks
from recommendations.models import Interaction
from recommendations.viewer_figures import figures_of, refresh_summary, stored_rows
from tests.audience import rate, say
from tests.belongings import PASSWORD, leave
from tests.builders import Client, interact, make_movie, make_user
from users.erasure import erase
from users.models import Favourite, User, Viewing

pytestmark = pytest.mark.django_db

PATH = "/users/me/statistics"


def figures(client: Client) -> dict[str, Any]:
    answer = client.get(PATH, months=120)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def make_history(user: User, films: list[Movie], luck: random.Random) -> None:
    """Anything that a viewer can do, with films, by chance."""
    for film in films:
        for kind in luck.sample(list(Interaction.Kind), luck.randint(0, 3)):
            stars = luck.randint(1, 10) if kind is Interaction.Kind.RATING else 0
            interact(user, film, kind.name, half_stars=stars)
        if luck.random() < 0.3:
            Favourite.objects.create(user=user, movie=film)
        for _ in range(luck.choice([0, 0, 1, 2])):
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=luck.randint(0, 7000))
            here = luck.random() < 0.5
            Viewing.objects.create(user=user, movie=film, watched_at=moment, checked_in=here)


@pytest.mark.parametrize("seed", range(3))
def test_the_summary_says_what_is_counted_now(seed: int) -> None:
    luck = random.Random(seed)
    films = [
        make_movie(
            genres=luck.sample(["drama", "war", "music"], luck.randint(0, 3)),
            release_year=luck.choice([None, 1959, 1960, 1969, 2001]),
            runtime_minutes=luck.choice([None, 90, 121]),
            original_language=luck.choice([None, "fr", "pt", "pt-BR"]),
        )
        for _ in range(12)
    ]
    viewers = [Client(make_user()) for _ in range(4)]
    for viewer in viewers[1:]:
        make_history(viewer.user, films, luck)
    counted = [(figures(viewer), figures_of(current(viewer.user))) for viewer in viewers]
    assert not any(stored_rows(viewer.user.pk) for viewer in viewers)
    refresh_summary()
    assert [len(stored_rows(viewer.user.pk)) for viewer in viewers] == [0, 1, 1, 1]
    assert [(figures(viewer), figures_of(current(viewer.user))) for viewer in viewers] == counted


def current(user: User) -> User:
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize("act", ["rate", "favourite", "watch", "take back"])
def test_whatever_the_viewer_does_counts_at_once(viewer: Client, act: str) -> None:
    film, other = make_movie(genres=["drama"]), make_movie(genres=["war"])
    rate(viewer, film, 4)
    refresh_summary()
    before = figures(viewer)
    if act == "rate":
        rate(viewer, other, 2)
    elif act == "favourite":
        viewer.put(f"/users/me/favourites/{other.pk}")
    elif act == "watch":
        viewer.post("/users/me/history", {"movie_id": other.pk})
    else:
        viewer.delete(f"/movies/{film.pk}/rating")
    after = figures(viewer)
    assert after != before
    refresh_summary()
    assert figures(viewer) == after


def test_the_figures_are_those_of_the_last_summary(viewer: Client) -> None:
    """A film that the cinema changes since counts as it was, until the next one: no longer."""
    film = make_movie(genres=["drama"], release_year=1960)
    rate(viewer, film, 4)
    refresh_summary()
    Movie.objects.filter(pk=film.pk).update(release_year=2001)
    Genre.objects.update(name="Dramas")
    assert [row["decade"] for row in figures(viewer)["by_decade"]] == [1960]
    assert [row["name"] for row in figures(viewer)["by_genre"]] == ["Dramas"]
    refresh_summary()
    assert [row["decade"] for row in figures(viewer)["by_decade"]] == [2000]


def test_figures_of_another_time_zone_are_computed_anew(viewer: Client, settings: Settings) -> None:
    moment = datetime(2026, 9, 30, 22, 30, tzinfo=UTC)  # 00:30 in Berlin
    Viewing.objects.create(user=viewer.user, movie=make_movie(), watched_at=moment)
    refresh_summary()

    def month() -> str:
        [month] = figures_of(current(viewer.user)).months
        return month

    assert month() == "2026-10"
    settings.TIME_ZONE = "UTC"
    assert month() == "2026-09"


def test_a_refresh_without_a_time_zone_leaves_no_wrong_figures(viewer: Client) -> None:
    rate(viewer, make_movie(), 4)
    refresh_summary()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL cinema.time_zone = ''")
        cursor.execute("REFRESH MATERIALIZED VIEW user_interaction_summary")
    assert stored_rows(viewer.user.pk) == []
    assert figures(viewer)["counts"]["ratings"] == 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_figures_take_three_or_four_queries(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries, is_stored: bool
) -> None:
    for number in range(30):
        rate(viewer, make_movie(genres=["drama", f"genre {number}"]), 4)
    if is_stored:
        refresh_summary()
    with django_assert_num_queries(3 if is_stored else 4):  # who asks; figures; genres
        figures(viewer)


def test_one_viewers_figures_are_counted_without_reading_all(viewer: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM recommendations_figures('UTC') WHERE user_id = %s",
            [viewer.user.pk],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    for table in ("users_user", "recommendations_interaction", "users_viewing", "users_favourite"):
        assert f"Seq Scan on {table}" not in plan, plan
    assert "Function Scan on recommendations_figures" not in plan


# --- after an erasure


def test_the_summary_forgets_who_has_gone(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(
        tasks.refresh_summary, "apply_async", lambda *args, **options: tasks.refresh_summary()
    )
    leaving, film = make_user(password=PASSWORD), make_movie()
    rate(viewer, film, 3)
    rate(Client(leaving), film, 5)
    refresh_summary()
    assert stored_rows(leaving.pk)
    with django_capture_on_commit_callbacks(execute=True):
        assert leave(Client(leaving)).status_code == 204
    assert not stored_rows(leaving.pk)
    assert stored_rows(viewer.user.pk)


def test_erasing_a_viewer_outside_the_summary_starts_no_refresh(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(tasks.refresh_summary, "apply_async", refuse)
    leaving = make_user()
    with django_capture_on_commit_callbacks(execute=True):
        erase(user_id=leaving.pk)


def test_the_export_has_what_is_summarised(viewer: Client) -> None:
    say(viewer, make_movie(genres=["drama"]), "seen")
    refresh_summary()
    answer = viewer.get("/users/me/export")
    [summary] = json.loads(answer.getvalue())["statistics_summary"]
    assert [row[3:] for row in summary["figures"]["films"]] == [[1, 0, 0], [1, 0, 0]]


def test_an_erasure_needs_no_broker(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise BrokerAway

    monkeypatch.setattr(tasks.refresh_summary, "apply_async", refuse)
    rate(viewer, make_movie(), 5)
    refresh_summary()
    user_id = viewer.user.pk
    with django_capture_on_commit_callbacks(execute=True):
        erase(user_id=user_id)
    assert stored_rows(user_id)
    refresh_summary()
    assert not stored_rows(user_id)


# --- the task


def test_the_task_runs_once_at_a_time(viewer: Client) -> None:
    rate(viewer, make_movie(), 4)
    with single_run(tasks.SUMMARY_LOCK):
        tasks.refresh_summary()
    assert stored_rows(viewer.user.pk) == []
    tasks.refresh_summary()
    tasks.refresh_summary()
    assert len(stored_rows(viewer.user.pk)) == 1
