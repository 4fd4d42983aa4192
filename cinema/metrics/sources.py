"""Metrics that Postgres, Valkey and the broker are asked for when Prometheus asks.

Each source is read in a thread of its own. One that is away or slow has no samples then, and the
metric `cinema_source_up` is 0: a scrape neither fails nor waits for it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import orjson
from celery.schedules import maybe_schedule
from django.conf import settings
from django.db import connection, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cinema.cache import shared
from cinema.celery import app
from cinema.metrics.tasks import BEATS, OUTCOMES, WORKER_GONE_S, WORKERS
from cinema.metrics.totals import read_totals
from recommendations.impressions.stream import stream_key
from recommendations.matches.queue import count_waiting
from recommendations.models import Release, TrainingRun

log = logging.getLogger(__name__)

#: A source is read at most so often, however often and by whatever number of programs it is asked.
KEPT_S = 5.0
READ_WITHIN_S = 2.0
#: A connection with another name counts as `other`.
PROGRAMS = {"cinema web": "web", "cinema": "jobs"}
TABLES = (
    "movies_movie", "movies_screening", "recommendations_impression",
    "recommendations_interaction", "recommendations_neighbour", "recommendations_pendingimport",
    "users_mailrequest", "users_user",
)  # fmt: skip
#: Messages at the head of a queue whose tasks are named.
MESSAGES_READ = 500
#: The measures of a release that are shown.
QUALITY = {"ndcg", "hit_rate", "coverage", "diversity"}


class SourceAway(Exception):
    """The server did not answer."""


class Source:
    """Metrics from one server."""

    def __init__(self, name: str, read: Callable[[], Iterator[Metric]]) -> None:
        self.name = name
        self._read = read
        self._lock = threading.Lock()
        self._started_at = 0.0
        self._reading: Future[list[Metric]] | None = None

    def start(self) -> Future[list[Metric]]:
        """The reading that is under way or was done lately, or a new one."""
        with self._lock:
            reading, age_s = self._reading, time.monotonic() - self._started_at
            if reading is None or (reading.done() and age_s > KEPT_S):
                self._started_at = time.monotonic()
                self._reading = reading = Future()
                # The end of the process would wait for the threads of an executor.
                threading.Thread(target=self._carry_out, args=(reading,), daemon=True).start()
            return reading

    def _carry_out(self, reading: Future[list[Metric]]) -> None:
        try:
            reading.set_result([*self._read()])
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources are shown
            log.warning("no metrics of %s: %s", self.name, type(error).__name__)
            reading.set_exception(error)
        finally:
            connection.close()


def read_sources(sources: Sequence[Source]) -> Iterator[Metric]:
    """All samples of the sources that answer in time, and which ones those are."""
    up = GaugeMetricFamily(
        "cinema_source_up", "Whether a source of metrics answered.", labels=["source"]
    )
    readings = {source.name: source.start() for source in sources}
    deadline = time.monotonic() + READ_WITHIN_S
    for name, reading in readings.items():
        found: list[Metric] | None = None
        with suppress(Exception):
            found = reading.result(timeout=max(0.0, deadline - time.monotonic()))
            yield from found
        up.add_metric([name], float(found is not None))
    yield up


def _gauge(
    name: str,
    documentation: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


# --- Postgres


def _read_postgres() -> Iterator[Metric]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1500ms'")
        cursor.execute(
            "SELECT application_name, coalesce(state, 'unknown'), count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1, 2"
        )
        connections: Counter[tuple[str, str]] = Counter()
        for name, state, n in cursor.fetchall():
            connections[PROGRAMS.get(name, "other"), state] += n
        cursor.execute("SELECT current_setting('max_connections')::int")
        [most] = cursor.fetchone()
        cursor.execute(
            "SELECT whole.relname, sum(n_live_tup)::bigint FROM pg_stat_user_tables AS part"
            " LEFT JOIN pg_inherits ON inhrelid = part.relid"
            " JOIN pg_class AS whole ON whole.oid = coalesce(inhparent, part.relid)"
            " WHERE whole.relname = ANY(%s) GROUP BY whole.relname",
            [[*TABLES]],
        )
        rows = cursor.fetchall()
        release = Release.objects.filter(is_current=True).first()
        runs = Counter(TrainingRun.objects.values_list("state", flat=True))
    yield _gauge(
        "cinema_database_connections", "Connections to the database, by program and state.",
        ["program", "state"], connections.items(),
    )  # fmt: skip
    yield _gauge(
        "cinema_database_connections_max", "Connections that Postgres allows.", [], [((), most)]
    )
    pool = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] * settings.WEB_WORKERS
    yield _gauge(
        "cinema_database_pool_max", "Connections that this server's web processes may open.", [],
        [((), pool)],
    )  # fmt: skip
    yield _gauge(
        "cinema_table_rows", "Rows of a table, as Postgres estimates them.", ["table"],
        [((name,), n) for name, n in rows],
    )  # fmt: skip
    yield _gauge(
        "cinema_training_runs", "Trainings by state.", ["state"],
        [((state,), runs[state]) for state in TrainingRun.State.values],
    )  # fmt: skip
    yield _gauge(
        "cinema_release_age_seconds", "Age of the current release; none without a release.", [],
        [((), release.age_s)] if release else [],
    )  # fmt: skip
    yield _gauge(
        "cinema_release_quality", "Measured quality of the current release.",
        ["algorithm", "metric"], _quality(release.metrics) if release else [],
    )  # fmt: skip


def _quality(metrics: dict[str, dict[str, Any]]) -> Iterator[tuple[Sequence[str], float]]:
    for algorithm, quality in metrics.items():
        for name, value in (quality or {}).items():
            if name in QUALITY and isinstance(value, (int, float)):
                yield (algorithm, name), value


# --- Valkey


def _read_valkey() -> Iterator[Metric]:
    found = read_totals()
    states = shared().ask(_read_states)
    if found is None or states is None:
        raise SourceAway
    yield from _totals(found)
    beats, workers, impressions, viewers = states
    running: Counter[str] = Counter()
    seen = [
        tasks
        for at, tasks in map(orjson.loads, workers.values())
        if abs(time.time() - at) < WORKER_GONE_S
    ]
    for tasks in seen:
        running.update(tasks)
    yield _gauge("cinema_workers", "Workers that live.", [], [((), len(seen))])
    yield _gauge(
        "cinema_tasks_running", "Tasks that run, by name.", ["task"],
        [((name,), n) for name, n in running.items()],
    )  # fmt: skip
    yield _gauge(
        "cinema_entries_waiting", "Entries that wait for a task: impressions and clicks, viewers "
        "whose matches are outdated.", ["kind"],
        [(("impressions",), impressions), (("matches",), viewers)],
    )  # fmt: skip
    yield from _beats({str(k, "utf-8"): float(v) for k, v in beats.items()})


def _read_states(server: Any) -> list[Any]:
    pipeline = server.pipeline(transaction=False)
    for key in (BEATS, WORKERS):
        pipeline.hgetall(shared().make_and_validate_key(key))
    pipeline.xlen(stream_key())
    count_waiting(pipeline)
    return cast("list[Any]", pipeline.execute())


def _totals(found: dict[tuple[str, ...], int]) -> Iterator[Metric]:
    families = {
        "tasks": CounterMetricFamily(
            "cinema_tasks", "Attempts of tasks that ended, by name.", labels=["task", "outcome"]
        ),
        "task_ms": CounterMetricFamily(
            "cinema_task_seconds", "Time of the tasks that ended.", labels=["task"]
        ),
        "tmdb": CounterMetricFamily(
            "cinema_tmdb_requests", "Requests to TMDb by status.", labels=["outcome"]
        ),
        "imports": CounterMetricFamily(
            "cinema_imported_rows", "Rows of imported files.", labels=["kind", "outcome"]
        ),
    }
    # Known before the first failure, which `increase` of Prometheus would otherwise not see.
    tasks = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    tasks.update(labels[0] for name, *labels in found if name == "tasks")
    counts: dict[tuple[str, ...], int] = {
        ("tasks", task, outcome): 0 for task in tasks for outcome in OUTCOMES.values()
    }
    for (name, *labels), amount in (counts | found).items():
        if name in families:  # another edition of the program may count more
            families[name].add_metric(labels, amount / 1000 if name == "task_ms" else amount)
    yield from families.values()


def _beats(sent_at: dict[str, float]) -> Iterator[Metric]:
    """A beat that is not known is infinitely old: no beat has ever run, or Valkey was emptied."""
    now = datetime.now(UTC)
    ages, intervals = [], []
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        last = sent_at.get(name)
        ages.append(((name,), max(0.0, now.timestamp() - last) if last else float("inf")))
        schedule: Any = maybe_schedule(entry["schedule"], app=app)
        before = datetime.fromtimestamp(last or now.timestamp(), app.timezone)
        due_in_s = schedule.remaining_estimate(before).total_seconds()
        intervals.append(((name,), now.timestamp() + due_in_s - before.timestamp()))
    yield _gauge(
        "cinema_beat_age_seconds", "Time since beat sent an entry of its schedule.", ["entry"], ages
    )
    yield _gauge(
        "cinema_beat_interval_seconds", "Time from the last beat of an entry to the next one.",
        ["entry"], intervals,
    )  # fmt: skip


# --- the broker


def _read_broker() -> Iterator[Metric]:
    lengths: dict[str, int] = {}
    waiting: Counter[str] = Counter()
    with app.connection_for_write(connect_timeout=1) as broker:
        is_redis = broker.transport.driver_type == "redis"
        if is_redis:
            options = broker.transport_options or {}
            broker.transport_options = {**options, "socket_timeout": 1}
        channel: Any = broker.default_channel
        for queue in settings.CELERY_TASK_QUEUES:
            if is_redis:
                lengths[queue.name] = channel.client.llen(queue.name)
                waiting.update(_names(channel.client.lrange(queue.name, -MESSAGES_READ, -1)))
            else:
                lengths[queue.name] = _amqp_length(broker, queue.name)
    yield _gauge(
        "cinema_queue_length", "Messages that wait for a worker, by queue.", ["queue"],
        [((name,), n) for name, n in lengths.items()],
    )  # fmt: skip
    yield _gauge(
        "cinema_tasks_waiting", "Tasks among the first 500 messages of each queue, by name. "
        "RabbitMQ does not tell them.", ["task"], [((name,), n) for name, n in waiting.items()],
    )  # fmt: skip


def _amqp_length(broker: Any, queue: str) -> int:
    """The messages that wait in RabbitMQ; 0 without a queue: the first worker makes it."""
    try:
        with broker.channel() as channel:  # its own: the error of a missing queue closes it
            return int(channel.queue_declare(queue, passive=True).message_count)
    except broker.channel_errors as error:
        if error.code != HTTPStatus.NOT_FOUND:  # AMQP has the same numbers
            raise
        return 0


def _names(messages: Iterable[bytes]) -> Iterator[str]:
    for message in messages:
        name = str(orjson.loads(message)["headers"].get("task", ""))
        yield name if re.fullmatch(r"[\w.]{1,80}", name, re.ASCII) else "other"


SOURCES = (
    Source("postgres", _read_postgres),
    Source("valkey", _read_valkey),
    Source("broker", _read_broker),
)
