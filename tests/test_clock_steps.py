"""The clock of the machine is set back or forward by an hour or a day."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from celery import Celery
from celery.beat import ScheduleEntry

from cinema.beat import ClockStepScheduler
from cinema.throttling import lockout
from cinema.throttling.lockout import TooManyAttempts
from movies import scheduled_updates, tasks
from movies.models import Movie
from recommendations.models import Release
from tests.builders import make_movie

START = date(2026, 12, 3)
NOON = 1_796_295_600  # 3 December 2026, 12:00 in Berlin
STEPS = pytest.mark.parametrize("step_s", [-86_400, -3600, 3600, 86_400])


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


class Beat(ClockStepScheduler):
    """Writes down what it sends instead of sending it."""

    def __init__(self, directory: Path) -> None:
        self.sent: list[str] = []
        app = Celery(set_as_current=False, broker="memory://")
        app.conf.beat_schedule = {
            "often": {"task": "often", "schedule": 10},
            "hourly": {"task": "hourly", "schedule": 3600},
        }
        super().__init__(app, schedule_filename=str(directory / "schedule"))

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> None:
        self.sent.append(str(entry.task))

    def run(self) -> list[str]:
        """Tick until nothing is due; returns what was sent."""
        self.sent.clear()
        while self.tick() == 0:
            pass
        return sorted(self.sent)


@STEPS
def test_beat_goes_on_sending_after_a_step(
    clock: time_machine.Traveller, tmp_path: Path, step_s: int
) -> None:
    beat = Beat(tmp_path)
    clock.shift(3600)
    assert beat.run() == ["hourly", "often"]
    clock.shift(step_s)
    beat.run()
    clock.shift(11)
    assert beat.run() == ["often"]
    clock.shift(3600)
    assert beat.run() == ["hourly", "often"]
    beat.close()


def test_beat_reads_a_schedule_from_before_the_step(
    clock: time_machine.Traveller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = Beat(tmp_path)
    clock.shift(11)
    before.run()
    before.close()
    clock.shift(-86_400)
    beat = Beat(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert beat.run() == []
    assert "The clock was set back: 2 entries are scheduled again." in caplog.messages
    clock.shift(11)
    assert beat.run() == ["often"]
    beat.close()


def test_beat_sends_each_entry_once_after_an_hour_away(
    clock: time_machine.Traveller, tmp_path: Path
) -> None:
    before = Beat(tmp_path)
    clock.shift(11)
    before.run()
    before.close()
    clock.shift(3600)
    beat = Beat(tmp_path)
    assert beat.run() == ["hourly", "often"]
    beat.close()


@pytest.mark.django_db
@STEPS
def test_rankings_go_on_rising_after_a_step(clock: time_machine.Traveller, step_s: int) -> None:
    make_movie(start_date=START + timedelta(days=30))
    tasks.tick_ranking()
    clock.shift(step_s)
    tasks.tick_ranking()
    ranking = Movie.objects.get().ranking
    assert ranking == 20
    clock.shift(1)
    tasks.tick_ranking()
    assert Movie.objects.get().ranking == ranking


@pytest.mark.django_db
@pytest.mark.parametrize("days", [1, 30])
def test_statuses_are_right_again_once_the_clock_is(
    clock: time_machine.Traveller, days: int
) -> None:
    make_movie(name="Tomorrow", start_date=START + timedelta(days=1))
    make_movie(name="Last day", start_date=START - timedelta(days=20), end_date=START)
    clock.shift(days * 86_400)
    tasks.advance_statuses()
    assert Movie.objects.get(name="Last day").status == "finished"
    clock.shift(-days * 86_400)
    tasks.advance_statuses()
    assert dict(Movie.objects.values_list("name", "status")) == {
        "Tomorrow": "coming-up",
        "Last day": "running",
    }


@pytest.mark.django_db
def test_a_status_set_by_hand_is_not_moved_back(clock: time_machine.Traveller) -> None:
    make_movie(start_date=START + timedelta(days=1), status="running")
    Movie.objects.update(status_is_manual=True)
    assert scheduled_updates.advance_statuses() == 0
    assert Movie.objects.get().status == "running"


def test_the_pause_after_wrong_passwords_does_not_grow_with_the_step(
    clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "ATTEMPTS", 2)

    def guess() -> None:
        lockout.check_sign_in(lambda: None, account="agnes@example.org", address="192.0.2.1")

    for _ in range(2):
        guess()
    with pytest.raises(TooManyAttempts):
        guess()
    clock.shift(-86_400)
    with pytest.raises(TooManyAttempts) as refusal:
        guess()
    assert refusal.value.wait_s <= lockout.FIRST_PAUSE_S


def test_a_release_from_the_future_has_no_negative_age(clock: time_machine.Traveller) -> None:
    from django.utils import timezone

    assert Release(created_at=timezone.now() + timedelta(days=1)).age_s == 0
