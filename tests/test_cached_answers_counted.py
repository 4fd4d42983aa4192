"""How often kept answers were there, and how often they had to be made, for staff to read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema import response_cache
from cinema.response_cache import CacheTally, responses
from tests.builders import Client, make_movie

pytestmark = pytest.mark.django_db


def counted(staff: Client, **query: Any) -> dict[str, dict[str, Any]]:
    """By kind, without what did not happen."""
    found = staff.get("/cache/statistics", **query).json()
    assert found["all_processes"] is True
    return {
        kind.pop("kind"): {outcome: n for outcome, n in kind.items() if n}
        for kind in found["answers"]
    }


def test_hits_and_misses_are_counted_by_kind_and_level(
    anonymous: Client, viewer: Client, staff: Client, settings: Settings
) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    make_movie()
    for _ in range(2):
        anonymous.get("/movies/trending")
    responses.tally.flush()
    responses.forget()  # as another process
    anonymous.get("/movies/trending")
    viewer.get("/movies/trending")
    anonymous.get("/genres")
    assert counted(staff) == {
        "trending": {"made": 1, "memory": 1, "cache": 1, "fresh": 1, "hit_rate": 0.6667},
        "genres": {"made": 1},
    }


def test_a_process_tells_now_and_then_what_has_come_together(
    anonymous: Client, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous.get("/genres")
    responses.forget()  # it ends before it has told
    assert counted(staff) == {}
    monkeypatch.setattr(response_cache, "FLUSH_EVERY_S", 0)
    anonymous.get("/genres")
    responses.forget()
    assert counted(staff) == {"genres": {"cache": 1, "hit_rate": 1}}


def test_counts_are_of_a_day(staff: Client) -> None:
    for days_ago in (9, 7, 1, 0, 0):
        with time_machine.travel(timezone.now() - timedelta(days=days_ago), tick=False):
            of_that_day = CacheTally()
            of_that_day.count("trending", "made")
            of_that_day.flush()
    assert counted(staff) == counted(staff, days=1) == {"trending": {"made": 2}}
    assert counted(staff, days=2) == {"trending": {"made": 3}}
    assert counted(staff, days=8) == {"trending": {"made": 4}}


def test_statistics_are_for_staff(anonymous: Client, viewer: Client, staff: Client) -> None:
    assert anonymous.get("/cache/statistics").status_code == 401
    assert viewer.get("/cache/statistics").status_code == 403
    nothing = {"days": 1, "all_processes": True, "answers": []}
    assert staff.get("/cache/statistics").json() == nothing


@pytest.mark.parametrize("days", [0, 9, -1, "x", 10**30])
def test_a_bad_number_of_days_is_refused(staff: Client, days: object) -> None:
    assert staff.get("/cache/statistics", days=days).status_code == 422
