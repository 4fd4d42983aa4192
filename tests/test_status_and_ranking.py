"""The clock sets a movie's status by the dates, and its ranking until it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from cinema.locks import single_run
from movies import scheduled_updates, tasks
from movies.models import CatalogueVersion, Movie
from movies.services import current_status
from tests.builders import Client, make_movie, make_user
from tests.catalogue import film
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db

#: Thursday; the run of the movies below.
START, END = date(2026, 12, 3), date(2026, 12, 24)

BY_DATE = [
    (date(2026, 12, 2), "coming-up"),
    (date(2026, 12, 3), "starting"),
    (date(2026, 12, 9), "starting"),
    (date(2026, 12, 10), "running"),
    (date(2026, 12, 24), "running"),
    (date(2026, 12, 25), "finished"),
    (date(2027, 12, 25), "finished"),
]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stands at noon of the day before the start."""
    with time_machine.travel(datetime(2026, 12, 2, 11, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 11, tzinfo=UTC)


def statuses() -> list[str]:
    return list(Movie.objects.order_by("pk").values_list("status", flat=True))


def rankings() -> list[int]:
    return list(Movie.objects.order_by("pk").values_list("ranking", flat=True))


# --- status by the dates


@pytest.mark.parametrize(("today", "status"), BY_DATE)
def test_a_movie_is_posted_with_the_status_of_the_date(
    clock: time_machine.Traveller, today: date, status: str
) -> None:
    clock.move_to(noon(today))
    staff = Client(make_user(is_staff=True))
    assert staff.post("/movies", film(end_date=END)).json()["status"] == status


@pytest.mark.parametrize(
    ("start", "end", "days", "status"),
    [
        (START, START, 0, "starting"),
        (START, START, 1, "finished"),
        (START, START + timedelta(days=3), 3, "starting"),
        (START, START + timedelta(days=3), 4, "finished"),
        (START, None, 6, "starting"),
        (START, None, 7, "running"),
        (START, None, 9999, "running"),
    ],
)
def test_a_short_run_and_one_without_end_follow_the_same_rule(
    start: date, end: date | None, days: int, status: str
) -> None:
    movie = Movie(start_date=start, end_date=end)
    assert current_status(movie, today=start + timedelta(days=days)) == status


@pytest.mark.parametrize(("days", "status"), [(0, "running"), (1, "starting")])
def test_how_long_a_movie_starts_is_a_setting(
    clock: time_machine.Traveller, settings: Any, days: int, status: str
) -> None:
    settings.STARTING_DAYS = days
    assert current_status(Movie(start_date=START), today=START) == status
    make_movie(start_date=START, status="coming-up")
    scheduled_updates.advance_statuses(today=START)
    assert statuses() == [status]


@pytest.mark.parametrize(("today", "status"), BY_DATE)
@pytest.mark.parametrize("daily", [True, False])
def test_the_clock_moves_a_movie_on_daily_or_after_a_standstill(
    clock: time_machine.Traveller, today: date, status: str, daily: bool
) -> None:
    make_movie(start_date=START, end_date=END)
    days = (today - START).days
    for day in range(0 if daily else days, days + 1):
        scheduled_updates.advance_statuses(today=START + timedelta(days=day))
    assert statuses() == [status]
    assert scheduled_updates.advance_statuses(today=today) == 0


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("2026-12-02T22:59:59+00:00", "coming-up"),
        ("2026-12-02T23:00:00+00:00", "starting"),
        ("2026-12-02T23:30:00+00:00", "starting"),
        ("2026-12-09T22:59:59+00:00", "starting"),
        ("2026-12-09T23:00:00+00:00", "running"),
        ("2026-12-24T22:59:59+00:00", "running"),
        ("2026-12-24T23:00:00+00:00", "finished"),
    ],
)
def test_a_day_begins_at_midnight_in_the_cinema(
    clock: time_machine.Traveller, now: str, status: str
) -> None:
    make_movie(start_date=START, end_date=END)
    clock.move_to(now)
    tasks.advance_statuses()
    assert statuses() == [status]


def test_all_movies_move_in_one_update(django_assert_num_queries: Any) -> None:
    for days in (-1, 0, 7, 30):
        make_movie(start_date=START - timedelta(days=days), end_date=END, status="coming-up")
    Movie.objects.update(status="coming-up")
    with django_assert_num_queries(2):  # whether there are any; UPDATE
        assert scheduled_updates.advance_statuses(today=START) == 3
    assert statuses() == ["coming-up", "starting", "running", "running"]


# --- status by hand


@pytest.mark.parametrize(("today", "by_date"), BY_DATE)
@pytest.mark.parametrize("by_hand", ["coming-up", "starting", "running", "finished"])
def test_a_status_set_by_hand_is_moved_forward_alone(
    clock: time_machine.Traveller, today: date, by_date: str, by_hand: str
) -> None:
    staff = Client(make_user(is_staff=True))
    posted = staff.post("/movies", film(end_date=END, status=by_hand)).json()
    assert posted["status"] == by_hand
    scheduled_updates.advance_statuses(today=today)
    order = ["coming-up", "starting", "running", "finished"]
    assert statuses() == [max(by_hand, by_date, key=order.index)]


def test_a_change_of_dates_moves_a_status_back_unless_it_was_set_by_hand(
    clock: time_machine.Traveller,
) -> None:
    staff = Client(make_user(is_staff=True))
    for by_hand, expected in ((None, "coming-up"), ("starting", "starting")):
        movie = make_movie(start_date=date(2026, 12, 1), status=by_hand)
        path = f"/movies/{movie.pk}"
        assert staff.get(path).json()["status"] == "starting"
        assert staff.patch(path, {"start_date": "2026-12-20"}).json()["status"] == expected


def test_a_null_status_gives_the_movie_back_to_the_clock(clock: time_machine.Traveller) -> None:
    staff = Client(make_user(is_staff=True))
    assert staff.post("/movies", film(status=None)).json()["status"] == "coming-up"
    movie = make_movie(start_date=START, status="finished")
    path = f"/movies/{movie.pk}"
    assert staff.patch(path, {"overview": "New."}).json()["status"] == "finished"
    assert staff.patch(path, {"status": None}).json()["status"] == "coming-up"
    clock.move_to(noon(START))
    tasks.advance_statuses()
    assert statuses() == ["starting", "starting"]


# --- ranking


def tick(clock: time_machine.Traveller, *seconds: float) -> None:
    """Let beat tick so many seconds after the clock's present."""
    now = timezone.now()
    for after in seconds:
        clock.move_to(now + timedelta(seconds=after))
        tasks.tick_ranking()


@pytest.mark.parametrize(
    ("seconds", "ranking"),
    [
        ((0,), 10),
        ((0, 300), 20),
        ((0, 300, 600), 30),
        ((0, 299.6, 600.2, 899.7), 40),
        ((0, 0.1, 1, 60, 149), 10),
        ((0, 150, 300, 450, 600), 30),
        ((0, 20, 300, 320, 600, 620), 30),
        ((0, 3600), 20),
        ((0, 3600, 3900), 30),
        ((0, 360, 600, 900), 40),
    ],
    ids=str,
)
def test_the_ranking_rises_once_in_an_interval_and_makes_up_for_nothing(
    clock: time_machine.Traveller, seconds: tuple[float, ...], ranking: int
) -> None:
    make_movie(start_date=START)
    tick(clock, *seconds)
    assert rankings() == [ranking]


def test_step_and_interval_are_settings(clock: time_machine.Traveller, settings: Any) -> None:
    settings.RANKING_STEP, settings.RANKING_INTERVAL_S = 3, 60
    make_movie(start_date=START)
    tick(clock, 0, 60, 120)
    assert rankings() == [9]


def test_the_ranking_rises_until_the_movie_runs(clock: time_machine.Traveller) -> None:
    for status in ("coming-up", "starting", "running", "finished"):
        make_movie(start_date=START, status=status)
    assert scheduled_updates.tick_ranking() == 2
    assert rankings() == [10, 10, 0, 0]
    scheduled_updates.advance_statuses(today=START + timedelta(days=7))
    clock.shift(300)
    assert scheduled_updates.tick_ranking() == 0
    assert rankings() == [10, 10, 0, 0]


def test_a_movie_posted_between_two_ticks_rises_with_the_next(
    clock: time_machine.Traveller,
) -> None:
    make_movie(start_date=START)
    tick(clock, 0)
    make_movie(start_date=START)
    tick(clock, 300)
    assert rankings() == [20, 10]


def test_all_movies_rise_in_one_update(django_assert_num_queries: Any) -> None:
    for _ in range(20):
        make_movie(start_date=timezone.localdate())
    with django_assert_num_queries(2):  # whether there are any; UPDATE
        assert scheduled_updates.tick_ranking() == 20


def test_a_tick_shows_to_viewers_and_leaves_the_time_of_editing(
    anonymous: Client, settings: Any
) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    before = anonymous.get("/programme").json()["coming_up"][0]
    version = CatalogueVersion.objects.get().version
    tasks.tick_ranking()
    assert CatalogueVersion.objects.get().version > version
    assert anonymous.get("/programme").json()["coming_up"] == [{**before, "ranking": 10}]
    assert anonymous.get("/movies/trending").json()["data"][0]["id"] == movie.pk


def test_a_clock_that_moves_nothing_leaves_the_version_of_the_catalogue() -> None:
    make_movie()
    version = CatalogueVersion.objects.get().version
    tasks.tick_ranking()
    tasks.advance_statuses()
    assert CatalogueVersion.objects.get().version == version


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("tick_once", [scheduled_updates.tick_ranking, tasks.tick_ranking])
def test_two_who_tick_at_once_raise_the_ranking_once(tick_once: Any) -> None:
    make_movie(start_date=timezone.localdate() + timedelta(days=9))
    for total in (10, 20):
        at_once([partial(tick_once)] * 4)
        assert rankings() == [total]
        Movie.objects.update(ranked_at=timezone.now() - timedelta(seconds=300))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["movies.tick_ranking", "movies.advance_statuses"])
def test_a_task_leaves_the_work_to_the_one_that_holds_the_lock(name: str) -> None:
    make_movie(start_date=timezone.localdate() + timedelta(days=9))
    Movie.objects.update(start_date=timezone.localdate())
    run = {
        "movies.tick_ranking": tasks.tick_ranking,
        "movies.advance_statuses": tasks.advance_statuses,
    }[name]
    with single_run(name) as acquired:
        assert acquired
        run()
        assert (statuses(), rankings()) == (["coming-up"], [0])
    run()
    assert (statuses(), rankings()) != (["coming-up"], [0])
