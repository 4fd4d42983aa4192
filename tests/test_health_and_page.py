"""The health endpoints and the page, in one process; tests/test_up.py looks at a running Cinema."""

from __future__ import annotations

import pytest
from django.test import override_settings
from pytest_django.fixtures import Settings

from cinema import health
from tests.builders import Client, at, make_movie, make_screening

pytestmark = pytest.mark.django_db

DEAD = "redis://127.0.0.1:1/0"


def test_live_touches_nothing(
    anonymous: Client, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        answer = anonymous.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_looks_at_each_component_and_misses_the_workers(anonymous: Client) -> None:
    answer = anonymous.get("/health/ready")
    components = answer.json()["components"]
    assert answer.status_code == 503
    assert {name: component["state"] for name, component in components.items()} == {
        "database": "ok",
        "cache": "ok",
        "broker": "ok",
        "migrations": "ok",
        "workers": "missing",
        "release": "none",
    }
    assert all(component["latency_ms"] >= 0 for component in components.values())


def test_what_is_required_is_a_setting(anonymous: Client, settings: Settings) -> None:
    settings.HEALTH_REQUIRED = ["database", "migrations"]
    answer = anonymous.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@override_settings(REDIS_URL=DEAD)
def test_a_cache_that_is_away_is_told_and_does_not_stop_the_others(anonymous: Client) -> None:
    answer = anonymous.get("/health/ready")
    components = answer.json()["components"]
    assert answer.status_code == 503
    assert components["cache"]["state"] == "away"
    assert components["cache"]["error"] == "ConnectionError"
    assert components["database"]["state"] == "ok"


def test_no_answer_holds_an_address_or_a_password(anonymous: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://:hidden-password@127.0.0.1:1/0"
    body = anonymous.get("/health/ready").content
    assert b"hidden-password" not in body
    assert b"127.0.0.1" not in body


def test_a_missing_migration_is_counted(anonymous: Client) -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    [newest] = executor.loader.graph.leaf_nodes("movies")
    executor.recorder.record_unapplied(*newest)
    assert health._migrations()["count"] == 1


def test_the_page_shows_the_week_by_the_hour(anonymous: Client) -> None:
    from django.utils import timezone

    movie = make_movie(name="Cléo <5> 7")
    late = make_screening(movie, hall="Late", starts_at=at(timezone.localdate(), 23, 30))
    make_screening(movie, hall="Early", starts_at=at(timezone.localdate(), 20), state="cancelled")
    html = anonymous.get("/").content.decode()
    assert "Cléo &lt;5&gt; 7" in html
    assert html.index("Early") < html.index("Late")
    assert 'class="cancelled"' in html
    assert timezone.localtime(late.starts_at).strftime("%H:%M") in html


def test_the_page_of_an_empty_cinema_says_so(anonymous: Client) -> None:
    assert "No screenings." in anonymous.get("/").content.decode()


def test_a_body_over_the_limit_is_413(staff: Client, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
    body = b'{"name": "' + b"x" * 2 * 1024 * 1024 + b'"}'
    answer = staff.send("POST", "/movies", body)
    assert (answer.status_code, answer.json()["detail"]) == (413, "A request may have 1 MB.")
