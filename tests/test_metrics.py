"""/metrics: who may read it, and what it says while servers are away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from prometheus_client.core import GaugeMetricFamily, Metric
from pytest_django.fixtures import Settings

from cinema.celery import app
from cinema.development.processes import wait_for
from cinema.metrics import sources
from cinema.metrics.exposition import metrics_token
from cinema.metrics.sources import Source, read_sources
from cinema.metrics.tasks import publish_beats
from cinema.metrics.totals import read_totals, totals
from tests.builders import Client, make_user
from tests.monitoring import Exported
from tests.outages import database_refusing
from tests.settings import IS_AMQP
from tests.shared_servers import training_queue

pytestmark = pytest.mark.django_db

Response = Any


def ask(client: Client, token: str) -> Response:
    return client.send("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})


def scrape(client: Client) -> Exported:
    response = ask(client, metrics_token())
    assert response.status_code == 200
    return Exported.of(response.content.decode())


@pytest.fixture(autouse=True)
def read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KEPT_S", 0.0)
    monkeypatch.setattr(sources, "READ_WITHIN_S", 30.0)


# --- access


@pytest.mark.parametrize("token", ["", "x", "ü", metrics_token("another secret"), "\0", "a" * 9000])
def test_without_the_token_the_metrics_are_refused(anonymous: Client, token: str) -> None:
    response = ask(anonymous, token)
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert b"cinema_" not in response.content


def test_tokens_of_viewers_and_staff_do_not_read_the_metrics(viewer: Client, staff: Client) -> None:
    for client in (viewer, staff):
        assert client.get("/metrics").status_code == 401


def test_the_token_of_the_command_reads_it_and_opens_nothing_else(anonymous: Client) -> None:
    out = StringIO()
    call_command("metrics_token", stdout=out)
    response = ask(anonymous, out.getvalue().strip())
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert response.headers["Cache-Control"] == "no-store"
    headers = {"Authorization": f"Bearer {out.getvalue().strip()}"}
    assert anonymous.send("GET", "/users/me", headers=headers).status_code == 401


def test_the_token_of_an_earlier_secret_is_valid_as_long_as_the_secret(
    anonymous: Client, settings: Settings
) -> None:
    before = metrics_token()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret"
    assert metrics_token() != before
    assert ask(anonymous, before).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert ask(anonymous, before).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_metrics_are_read_only(anonymous: Client, method: str) -> None:
    response = anonymous.send(
        method, "/metrics", headers={"Authorization": f"Bearer {metrics_token()}"}
    )
    assert response.status_code == 405


@pytest.mark.parametrize("host", ["web:8000", "10.1.2.3", "cinema.invalid"])
def test_prometheus_asks_a_server_by_any_name_and_other_paths_are_refused(
    anonymous: Client, host: str
) -> None:
    """Prometheus sends the address of its target as `Host`, and cannot send another one."""
    for path in ("/metrics", "/metrics/"):
        response = anonymous.send(
            "GET", path, headers={"Authorization": f"Bearer {metrics_token()}", "Host": host}
        )
        assert response.status_code == 200
    for path in ("/metrics/x", "/metricsx", "/health/live", "/api/v1/genres", "/"):
        response = anonymous.send("GET", path, headers={"Host": host})
        assert response.status_code in (400, 404), path
        assert "cinema_info" not in response.content.decode()
    assert anonymous.send("GET", "/health/live", headers={"Host": host}).status_code == 400


# --- what is counted


def test_requests_count_by_the_pattern_of_their_route_and_by_status(anonymous: Client) -> None:
    before = scrape(anonymous)
    for path in ("/movies/901", "/movies/902", "/movies/903/"):
        assert anonymous.get(path).status_code == 404
    after = scrape(anonymous)
    labels = {"method": "GET", "route": "api/v1/movies/<int:movie_id>", "status": "404"}
    name = "cinema_request_seconds_count"
    assert after.total(name, **labels) - before.total(name, **labels) == 3
    assert after.total("cinema_queries_total", route=labels["route"]) > before.total(
        "cinema_queries_total", route=labels["route"]
    )


def test_no_client_invents_a_label(anonymous: Client) -> None:
    anonymous.get("/metrics")
    before = scrape(anonymous)
    for n in range(40):
        path = f'/api/v1/{"x" * n}"}}\\n{n} \N{SNOWMAN}'
        anonymous.send(f"M{n}", path)
        anonymous.send("GET", f"/metrics/no/{n}")
        anonymous.send("GET", f"/health/no/{n}")
    after = scrape(anonymous)
    new = {key for key in after.samples if key not in before.samples}
    labels = {value for _, pairs in new for name, value in pairs if name in ("route", "method")}
    assert labels <= {"other", "GET", "metrics"}
    assert len({dict(pairs).get("method") for _, pairs in new}) <= 3


def test_wrong_passwords_and_throttled_requests_are_counted(
    anonymous: Client, settings: Settings
) -> None:
    make_user(email="a@cinema.example")
    before = scrape(anonymous)
    wrong = {"email": "a@cinema.example", "password": "not the password"}
    for _ in range(settings.LOCKOUT_ATTEMPTS):
        assert anonymous.post("/auth/login", wrong).status_code == 401
    assert anonymous.post("/auth/login", wrong).status_code == 429
    after = scrape(anonymous)
    for name, labels, n in (
        ("cinema_sign_in_failures_total", {"kind": "sign-in"}, settings.LOCKOUT_ATTEMPTS),
        ("cinema_throttled_requests_total", {"limit": "wrong_passwords"}, 1),
    ):
        assert after.total(name, **labels) - before.total(name, **labels) == n


def test_caches_count_hits_and_misses(anonymous: Client) -> None:
    name = "cinema_cache_requests_total"
    anonymous.get("/genres")
    before = scrape(anonymous)
    for _ in range(3):
        anonymous.get("/genres")
    after = scrape(anonymous)
    hits = {"cache": "genres", "outcome": "memory"}
    assert after.total(name, **hits) - before.total(name, **hits) == 3


# --- servers that are away


def test_totals_wait_in_the_process_while_valkey_is_away(settings: Settings) -> None:
    here, name = settings.CACHES, ("tmdb", "a test")
    settings.CACHES = {"default": {**here["default"], "LOCATION": "unix:///nowhere/valkey.sock"}}
    totals.add({name: 2})
    settings.CACHES = here
    totals.add({name: 1})  # still held: the cache is asked again a second after its absence

    # The next scrape sends them, without another event.
    assert wait_for(lambda: (read_totals() or {}).get(name) == 3, timeout_s=60)


def test_without_valkey_the_other_metrics_are_exported(
    anonymous: Client, without_cache: None
) -> None:
    found = scrape(anonymous)
    assert found.total("cinema_source_up", source="valkey") == 0
    assert found.total("cinema_source_up", source="postgres") == 1
    assert not found.has("cinema_beat_age_seconds")
    assert found.has("cinema_request_seconds_count")


@pytest.mark.django_db(transaction=True)
def test_without_postgres_the_other_metrics_are_exported(anonymous: Client) -> None:
    with database_refusing():
        found = scrape(anonymous)
    assert found.total("cinema_source_up", source="postgres") == 0
    assert found.total("cinema_source_up", source="valkey") == 1
    assert found.has("cinema_workers")


def test_a_source_that_fails_or_hangs_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "READ_WITHIN_S", 1.0)
    stop = threading.Event()

    def broken() -> Iterator[Metric]:
        raise ZeroDivisionError
        yield

    def hanging() -> Iterator[Metric]:
        stop.wait(60)
        yield GaugeMetricFamily("late", "Too late.", value=1)

    def working() -> Iterator[Metric]:
        yield GaugeMetricFamily("here", "It is here.", value=1)

    hangs, works = Source("hanging", hanging), Source("working", working)
    with monkeypatch.context() as patch:
        # It has been read: the one that hangs uses up the time of all.
        patch.setattr(sources, "KEPT_S", 3600.0)
        works.start().result(timeout=60)
        found = [*read_sources([hangs, Source("broken", broken), works])]
    assert [family.name for family in found] == ["here", "cinema_source_up"]
    up = {sample.labels["source"]: sample.value for sample in found[-1].samples}
    assert up == {"hanging": 0, "broken": 0, "working": 1}
    # It is not started a second time while it hangs.
    assert hangs.start() is hangs.start()
    stop.set()


# --- the broker


@pytest.mark.skipif(not IS_AMQP, reason="RabbitMQ is the broker of `make test-services` alone")
def test_rabbitmq_tells_the_lengths_of_queues_and_a_missing_queue_is_empty(
    anonymous: Client,
) -> None:
    name = training_queue()
    lengths = {"cinema_queue_length": {"queue": name}, "cinema_source_up": {"source": "broker"}}

    def told() -> list[float]:
        found = scrape(anonymous)
        return [found.total(metric, **labels) for metric, labels in lengths.items()]

    with app.connection_for_write() as broker:
        channel: Any = broker.default_channel
        channel.queue_delete(name)
        assert told() == [0, 1]
        with broker.SimpleQueue(name) as queue:
            for _ in range(3):
                queue.put({})
            assert told() == [3, 1]
            queue.clear()
            assert told() == [0, 1]
        channel.queue_delete(name)


# --- beat


def test_a_beat_that_is_not_known_is_infinitely_old(anonymous: Client) -> None:
    publish_beats({"movies.advance_statuses": 1_000_000_000.0})
    found = scrape(anonymous)
    name = "cinema_beat_age_seconds"
    assert found.total(name, entry="movies.advance_statuses") > 7e8
    interval_s = found.total("cinema_beat_interval_seconds", entry="movies.advance_statuses")
    assert interval_s == pytest.approx(60, abs=1)
    assert found.total(name, entry="audit.prune") == float("inf")
