"""Health: whether the process lives, and whether all that it needs is there.

Each check runs in a thread of its own, and a request waits at most CHECKED_WITHIN_S for it. A
server that hangs blocks this thread and no request. Meanwhile no second check of it starts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any, Literal

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from cinema.celery import app
from cinema.locks import is_held
from cinema.valkey import connect
from recommendations import selectors
from recommendations.releases import loaded_release
from recommendations.tasks import MATCHING_LOCK, SIMILAR_MOVIES_LOCK

#: The time limit of all checks together: `ready` always answers within 2 s.
CHECKED_WITHIN_S = 1.8
#: A server or a worker has this long to answer.
ANSWER_WITHIN_S = 1
#: A worker that answered so lately counts as there: it yields to the web, so on a busy machine some
#: of its answers come late.
SEEN_FOR_S = 30.0
#: On a busy machine the process of a training takes a minute to start. A lost message is sent again
#: after another minute.
TRAINING_WAITS_AT_MOST_S = 180

Found = dict[str, object]


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 while the process runs. It asks no server."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200, or 503 while a component is away that HEALTH_REQUIRED names."""
    components = look_at(*CHECKS)
    if components["broker"]["state"] != "ok":  # then the workers cannot be asked
        components["workers"] = {"state": "unknown", "latency_ms": 0.0}
    return _report(components, required=settings.HEALTH_REQUIRED)


@require_safe
def db(request: HttpRequest) -> JsonResponse:
    """200, or 503 while the database does not answer."""
    return _report(look_at("database"), required=["database"])


def _report(components: dict[str, Found], required: Sequence[str]) -> JsonResponse:
    is_fit = all(components[name]["state"] == "ok" for name in required)
    document = {"status": "ok" if is_fit else "unavailable", "components": components}
    response = JsonResponse(document, status=200 if is_fit else 503)
    # Django would log each 503 as an error: a line for each request of a load balancer.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def look_at(*names: str) -> dict[str, Found]:
    """The state and the latency of each component, within CHECKED_WITHIN_S."""
    started_at = time.perf_counter()
    running = {name: _start(name) for name in names}
    return {name: _wait_for(future, started_at) for name, future in running.items()}


def _wait_for(check: Future[Found], started_at: float) -> Found:
    left_s = started_at + CHECKED_WITHIN_S - time.perf_counter()
    try:
        return check.result(timeout=max(0, left_s))
    except TimeoutError:
        latency_ms = round((time.perf_counter() - started_at) * 1000, 2)
        return {"state": "away", "error": "TimeoutError", "latency_ms": latency_ms}


_running: dict[str, Future[Found]] = {}
_starting = threading.Lock()
#: These checks run one after the other, on one connection. `release` is not among them: it may
#: have to load one.
SHORT_QUERIES = {"database", "migrations", "training"}
_querying = threading.Lock()


def _start(name: str) -> Future[Found]:
    """The check that is running, or a new one."""
    with _starting:
        standing = _running.get(name)
        if standing is not None and not standing.done():
            return standing
        check = _running[name] = Future()
        # The end of the process would wait for the threads of an executor.
        threading.Thread(target=_carry_out, args=(name, check), daemon=True).start()
        return check


def _carry_out(name: str, check: Future[Found]) -> None:
    started_at = time.perf_counter()
    with _querying if name in SHORT_QUERIES else nullcontext():
        try:
            found: Found = {"state": "ok", **CHECKS[name]()}
        except Exception as error:  # noqa: BLE001 - a check that fails must not hide the others
            found = {"state": "away", "error": type(error).__name__}
        finally:
            connection.close()
    latency_ms = round((time.perf_counter() - started_at) * 1000, 2)
    check.set_result({**found, "latency_ms": latency_ms})


# --- the checks


def check_database() -> Found:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {}


def check_cache() -> Found:
    with connect(settings.REDIS_URL, timeout_s=ANSWER_WITHIN_S) as client:
        client.ping()
    return {}


def check_broker() -> Found:
    broker = app.connection_for_write(connect_timeout=ANSWER_WITHIN_S)
    if broker.transport.driver_type == "redis":
        options = broker.transport_options or {}
        broker.transport_options = {**options, "socket_timeout": ANSWER_WITHIN_S}
    with broker:
        broker.ensure_connection(max_retries=1, timeout=ANSWER_WITHIN_S)
    return {}


def check_migrations() -> Found:
    count = missing_migrations()
    return {"state": "missing", "count": count} if count else {}


def missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


#: Monotonic seconds of the last answer of a worker, by queue.
_seen_at: dict[str, float] = {}


def check_workers() -> Found:
    """Whether each queue has a worker."""
    missing = {queue.name for queue in settings.CELERY_TASK_QUEUES}

    def remove(reply: Mapping[str, Any]) -> None:
        served = {queue["name"] for queues in reply.values() for queue in queues or ()}
        _seen_at.update(dict.fromkeys(served, time.monotonic()))
        missing.difference_update(served)
        if not missing:
            raise _AllConsumed

    try:
        app.control.broadcast("active_queues", reply=True, timeout=ANSWER_WITHIN_S, callback=remove)
    except _AllConsumed:
        return {}
    since = time.monotonic() - SEEN_FOR_S
    missing = {name for name in missing if _seen_at.get(name, since) <= since}
    return {"state": "missing", "missing": sorted(missing)} if missing else {}


class _AllConsumed(Exception):
    """Every queue has a worker, so no further reply is needed."""


def check_training() -> Found:
    """Whether a training waits longer than a worker needs to start it."""
    run = selectors.longest_waiting_run()
    if run is None or run.waits_s < TRAINING_WAITS_AT_MOST_S:
        return {}
    if is_held(MATCHING_LOCK, SIMILAR_MOVIES_LOCK):  # the work of the night goes first
        return {}
    return {"state": "waiting", "run": run.pk, "waits_s": round(run.waits_s)}


def check_release() -> Found:
    """The release that this process serves. Without one, lists follow preferences and dates."""
    served, current = loaded_release(), selectors.current_release()
    if current is None:
        return {"state": "none"}
    refused: Found = {"state": "refused", "refused": served.instead_of}
    if served.id is None:
        return refused
    found: Found = {"id": served.id, "age_s": round(selectors.get_release(served.id).age_s)}
    return {**refused, **found} if served.instead_of else found


CHECKS: dict[str, Callable[[], Found]] = {
    "database": check_database,
    "cache": check_cache,
    "broker": check_broker,
    "migrations": check_migrations,
    "release": check_release,
    "workers": check_workers,
    "training": check_training,
}


router = Router(tags=["Health"])


class LiveOut(Schema):
    status: Literal["ok"]


class ComponentOut(Schema):
    """One thing that Cinema needs. Some have further members, such as the `age_s` of a release."""

    model_config = ConfigDict(extra="allow")

    state: str = Field(examples=["ok"])
    latency_ms: float = Field(examples=[0.42])


class HealthOut(Schema):
    status: Literal["ok", "unavailable"]
    components: dict[str, ComponentOut]


HEALTH = {200: HealthOut, 503: HealthOut}


@router.get("/health/live", response={200: LiveOut})
def get_liveness(request: HttpRequest) -> JsonResponse:
    """Whether the process runs. It asks no other server."""
    return live(request)


@router.get("/health/ready", response=HEALTH)
def get_readiness(request: HttpRequest) -> JsonResponse:
    """Whether everything is there that HEALTH_REQUIRED names, each with its state and latency."""
    return ready(request)


@router.get("/health", response=HEALTH)
def get_health(request: HttpRequest) -> JsonResponse:
    """The same as `/health/ready`."""
    return ready(request)


@router.get("/health/db", response=HEALTH)
def get_database_health(request: HttpRequest) -> JsonResponse:
    """Whether the database answers."""
    return db(request)
