"""How often TMDb is asked, over all processes, and when it is left alone."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from movies.tmdb import valkey
from movies.tmdb.breaker import FAILURES, PAUSE_S, PAUSED, PROBE, TRIPPED, Breaker, LocalKeys
from movies.tmdb.errors import TmdbBusy
from movies.tmdb.limiting import Limiter
from tests.running import ROOT

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Valkey may be slow, and is not away for that."""
    monkeypatch.setattr(valkey, "TIMEOUT_S", 30)
    valkey._server.cache_clear()


@pytest.fixture
def without_valkey(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(valkey, "_away_until", 0.0)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


# --- the limiter


def test_no_second_has_more_than_the_limit() -> None:
    limiter = Limiter(40, clock=Clock())
    slots = [limiter.take_slot(60) for _ in range(100)]
    assert slots == [0.0] * 40 + [1.0] * 40 + [2.0] * 20


def test_the_limit_holds_for_every_window_of_a_second_not_only_for_whole_ones() -> None:
    clock = Clock()
    limiter = Limiter(5, clock=clock)
    slots = []
    for step in range(60):
        clock.now = NOW + step * 0.07
        slots.append(clock.now + limiter.take_slot(60))
    assert slots == sorted(slots)
    for start in slots:
        assert sum(start <= slot < start + 0.999_999 for slot in slots) <= 5


def test_two_processes_share_one_limit() -> None:
    """Each takes sixty slots at the same moment of a stopped clock: none is handed out twice."""
    take_sixty = f"""
import django; django.setup()
from movies.tmdb import valkey
from movies.tmdb.limiting import Limiter
valkey.TIMEOUT_S = 30
limiter = Limiter(40, processes=2, clock=lambda: {NOW})
print(*(limiter.take_slot(60) for _ in range(60)))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"{_settings()}\n{take_sixty}"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert [len(slots) for slots in said] == [60, 60]
    assert Counter(said[0] + said[1]) == {"0.0": 40, "1.0": 40, "2.0": 40}


def _settings() -> str:
    """The subprocess finds the Valkey of this test run."""
    from django.conf import settings

    return (
        "import os; os.environ.update("
        f"DJANGO_SETTINGS_MODULE='tests.settings', REDIS_URL={settings.REDIS_URL!r}, "
        f"CINEMA_HOME={str(settings.CINEMA_HOME)!r}, SECRET_KEY='known')"
    )


def test_a_slot_too_far_away_is_refused_and_not_taken() -> None:
    limiter = Limiter(1, clock=Clock())
    assert [limiter.take_slot(2) for _ in range(3)] == [0, 1, 2]
    for _ in range(3):
        with pytest.raises(TmdbBusy) as refusal:
            limiter.take_slot(2)
        assert refusal.value.retry_after_s == 3
    assert limiter.take_slot(3) == 3


def test_a_pause_that_tmdb_asks_for_holds_everybody() -> None:
    Limiter(40).hold(30)
    assert 29 < Limiter(40).take_slot(60) <= 30


def test_slots_are_kept_to_the_microsecond() -> None:
    clock = Clock()
    clock.now += 0.123457
    limiter = Limiter(1, clock=clock)
    assert [limiter.take_slot(9) for _ in range(3)] == [0, 1, 2]


def test_what_was_long_ago_is_forgotten() -> None:
    clock = Clock()
    limiter = Limiter(2, clock=clock)
    assert [limiter.take_slot(9) for _ in range(4)] == [0, 0, 1, 1]
    clock.now += 100
    assert limiter.take_slot(9) == 0


def test_without_valkey_each_process_takes_its_share(without_valkey: None) -> None:
    limiter = Limiter(40, processes=4, clock=Clock())
    assert [limiter.take_slot(9) for _ in range(25)] == [0] * 10 + [1] * 10 + [2] * 5
    with pytest.raises(TmdbBusy):
        limiter.take_slot(1)
    limiter.hold(5)
    assert limiter.take_slot(9) == 5


def test_without_valkey_there_is_a_share_for_every_process(without_valkey: None) -> None:
    limiter = Limiter(2, processes=9, clock=Clock())
    assert [limiter.take_slot(9) for _ in range(2)] == [0, 1]


def test_valkey_is_asked_once_and_then_left_alone(
    without_valkey: None, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = Limiter(40, clock=Clock())
    for _ in range(20):
        limiter.take_slot(9)
    assert caplog.text.count("Valkey is away") == 1


# --- the breaker


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.check()
        breaker.failed()


def test_after_failures_in_a_row_tmdb_is_left_alone_by_all() -> None:
    fail(Breaker(), FAILURES - 1)
    Breaker().check()
    fail(Breaker(), 1)
    for _ in range(2):
        with pytest.raises(TmdbBusy) as refusal:
            Breaker().check()
        assert 0 < (refusal.value.retry_after_s or 0) <= PAUSE_S


def test_a_success_between_them_ends_the_row() -> None:
    fail(Breaker(), FAILURES - 1)
    Breaker().succeeded()
    fail(Breaker(), FAILURES - 1)
    Breaker().check()


@pytest.fixture(params=["shared", "local"])
def breaker(request: pytest.FixtureRequest) -> Breaker:
    return Breaker() if request.param == "shared" else Breaker(LocalKeys())


def test_after_the_pause_one_call_tries_for_all(breaker: Breaker) -> None:
    fail(breaker, FAILURES)
    breaker.keys.drop(PAUSED)  # it has run out
    breaker.check()
    with pytest.raises(TmdbBusy, match="tried again"):
        breaker.check()
    breaker.succeeded()
    for _ in range(2):
        breaker.check()


def test_a_failed_trial_opens_again(breaker: Breaker) -> None:
    fail(breaker, FAILURES)
    breaker.keys.drop(PAUSED)
    fail(breaker, 1)
    with pytest.raises(TmdbBusy, match="left alone"):
        breaker.check()


def test_a_trial_that_never_ends_gives_way_to_another(breaker: Breaker) -> None:
    fail(breaker, FAILURES)
    breaker.keys.drop(PAUSED)
    breaker.check()
    breaker.keys.drop(PROBE)  # it has run out
    breaker.check()


def test_local_keys_end_by_themselves() -> None:
    clock = Clock()
    breaker = Breaker(LocalKeys(clock))
    fail(breaker, FAILURES)
    clock.now += PAUSE_S + 1
    breaker.check()
    assert breaker.keys.left(TRIPPED) > 0
    clock.now += 3600
    fail(breaker, FAILURES - 1)
    breaker.check()


def test_without_valkey_each_process_breaks_for_itself(without_valkey: None) -> None:
    mine, other = Breaker(), Breaker()
    fail(mine, FAILURES)
    with pytest.raises(TmdbBusy):
        mine.check()
    other.check()
