"""The health endpoints and the page, in one process; tests/test_up.py looks at a running Cinema."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import override_settings
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema import health
from cinema.development.embedded_servers import Servers
from cinema.development.processes import wait_for
from cinema.locks import single_run
from recommendations.models import TrainingRun
from recommendations.releases import forget_release
from recommendations.tasks import MATCHING_LOCK, SIMILAR_MOVIES_LOCK
from tests.audience import change_something, make_audience, train_release
from tests.builders import Client, at, make_movie, make_screening
from tests.running import new_home

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
        "training": "ok",
        "release": "none",
    }
    assert all(component["latency_ms"] >= 0 for component in components.values())


def test_the_required_checks_are_a_setting(anonymous: Client, settings: Settings) -> None:
    settings.HEALTH_REQUIRED = ["database", "migrations"]
    answer = anonymous.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_probe_that_fails_writes_no_line_to_the_log(
    anonymous: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert anonymous.get("/health/ready").status_code == 503
    assert anonymous.get("/api/v1/health/ready").status_code == 503
    assert caplog.records == []


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
    assert health.check_migrations()["count"] == 1


def test_a_server_that_hangs_is_not_waited_for(anonymous: Client, settings: Settings) -> None:
    servers = Servers(new_home(), postgres=False, valkey=True)

    def cache() -> dict[str, object]:
        found: dict[str, object] = anonymous.get("/health/ready").json()["components"]["cache"]
        return found

    try:
        servers.start()
        [valkey] = servers.children
        settings.REDIS_URL = f"unix://{servers.sockets.valkey}"
        assert wait_for(lambda: cache()["state"] == "ok", timeout_s=60)
        valkey.signal(signal.SIGSTOP)
        began_at = time.monotonic()
        components = anonymous.get("/health/ready").json()["components"]
        assert time.monotonic() - began_at < 30
        assert (components["cache"]["state"], components["cache"]["error"]) == (
            "away",
            "TimeoutError",
        )
        assert components["database"]["state"] == "ok"
        valkey.kill()
    finally:
        servers.stop()


def test_a_check_that_is_under_way_is_not_started_again() -> None:
    started, ends = [0], threading.Event()

    def hang() -> dict[str, object]:
        started[0] += 1
        ends.wait(60)
        return {"state": "found late"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(health.CHECKS, "slow", hang)
        patch.setattr(health, "CHECKED_WITHIN_S", 0.2)
        assert [health.look_at("slow")["slow"]["state"] for _ in range(3)] == ["away"] * 3
        assert wait_for(lambda: started == [1], timeout_s=60)
        ends.set()
        assert wait_for(
            lambda: health.look_at("slow")["slow"]["state"] == "found late", timeout_s=30
        )


def queue_run(*, waits_s: float) -> TrainingRun:
    return TrainingRun.objects.create(created_at=timezone.now() - timedelta(seconds=waits_s))


@pytest.mark.django_db(transaction=True)
def test_a_training_that_waits_for_long_is_not_ok(anonymous: Client, settings: Settings) -> None:
    settings.HEALTH_REQUIRED = ["database", "training"]
    run = queue_run(waits_s=60)
    assert anonymous.get("/health/ready").status_code == 200
    run.delete()
    run = queue_run(waits_s=1000)
    answer = anonymous.get("/health/ready")
    found = answer.json()["components"]["training"]
    assert (answer.status_code, found["state"], found["run"]) == (503, "waiting", run.pk)
    assert 1000 <= found["waits_s"] < 1100
    for held in (MATCHING_LOCK, SIMILAR_MOVIES_LOCK):  # the night's work goes before
        with single_run(held):
            assert health.look_at("training")["training"]["state"] == "ok"
    assert health.look_at("training")["training"]["state"] == "waiting"
    # One that was killed a moment ago waits since then.
    TrainingRun.objects.update(started_at=timezone.now())
    assert anonymous.get("/health/ready").status_code == 200
    TrainingRun.objects.update(state=TrainingRun.State.RUNNING)
    assert anonymous.get("/health/ready").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_release_that_is_served_is_named(
    anonymous: Client, fresh_and_alone: None, home: Path
) -> None:
    def release() -> dict[str, object]:
        found: dict[str, object] = anonymous.get("/health/ready").json()["components"]["release"]
        return found

    make_audience(viewers_each=4, movies_each=5)
    first = train_release()
    assert (release()["state"], release()["id"]) == ("ok", first.pk)
    change_something()
    second = train_release()
    assert (release()["state"], release()["id"]) == ("ok", second.pk)
    forget_release()  # as a web process that has just started
    next((home / "releases" / second.directory).glob("*.npy")).write_bytes(b"damaged")
    found = release()
    assert (found["state"], found["id"], found["refused"]) == ("refused", first.pk, second.pk)
    forget_release()
    shutil.rmtree(home / "releases")
    found = release()
    assert (found["state"], found["refused"], "id" in found) == ("refused", second.pk, False)


def test_the_page_shows_the_week_by_the_hour(anonymous: Client) -> None:
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
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body may have at most 1 MB.")
