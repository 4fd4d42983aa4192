"""Whether the process lives, and whether everything that it needs is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from cinema.celery import app
from recommendations import selectors

#: The programs that carry out tasks, as their host names begin.
WORKERS = {"worker", "trainer"}
ANSWER_WITHIN_S = 1


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 while the process runs; touches nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200, or 503 when something is away that HEALTH_REQUIRED names."""
    components = {name: _look_at(check) for name, check in CHECKS.items()}
    if components["broker"]["state"] == "ok":  # or there is no asking the workers
        components["workers"] = _look_at(_workers)
    else:
        components["workers"] = {"state": "unknown", "latency_ms": 0.0}
    fit = all(
        components[name]["state"] == "ok" for name in settings.HEALTH_REQUIRED if name in components
    )
    status = "ok" if fit else "unavailable"
    return JsonResponse({"status": status, "components": components}, status=200 if fit else 503)


@require_safe
def db(request: HttpRequest) -> JsonResponse:
    """The database part of `ready`: 200, or 503 while the database does not answer."""
    found = _look_at(_database)
    fit = found["state"] == "ok"
    document = {"status": "ok" if fit else "unavailable", "components": {"database": found}}
    return JsonResponse(document, status=200 if fit else 503)


def _look_at(check: Callable[[], Mapping[str, object]]) -> dict[str, object]:
    started_at = time.perf_counter()
    try:
        found = {"state": "ok", **check()}
    except Exception as error:  # noqa: BLE001 - whatever it is, the others still want to be looked at
        found = {"state": "away", "error": type(error).__name__}
    return {**found, "latency_ms": round((time.perf_counter() - started_at) * 1000, 2)}


def _database() -> dict[str, object]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {}


def _cache() -> dict[str, object]:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=ANSWER_WITHIN_S)
    with client:
        client.ping()
    return {}


def _broker() -> dict[str, object]:
    broker = app.connection_for_write(connect_timeout=ANSWER_WITHIN_S)
    if broker.transport.driver_type == "redis":
        options = broker.transport_options or {}
        broker.transport_options = {**options, "socket_timeout": ANSWER_WITHIN_S}
    with broker:
        broker.ensure_connection(max_retries=1, timeout=ANSWER_WITHIN_S)
    return {}


def _migrations() -> dict[str, object]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return {"state": "missing", "count": len(missing)} if missing else {}


def _workers() -> dict[str, object]:
    """Which kinds answer; one that is busy training answers too."""
    # With one process of each kind the second answer is the last; with more, ask for all.
    missing = WORKERS - _answering(limit=len(WORKERS)) and WORKERS - _answering(limit=None)
    return {"state": "missing", "missing": sorted(missing)} if missing else {}


def _answering(*, limit: int | None) -> set[str]:
    replies = app.control.ping(timeout=ANSWER_WITHIN_S, limit=limit) or []
    return {name.partition("@")[0] for reply in replies for name in reply}


def _release() -> dict[str, object]:
    """The current release. A cinema without one is fit: the programme stands in for it."""
    release = selectors.current_release()
    if release is None:
        return {"state": "none"}
    return {"id": release.pk, "age_s": round(release.age_s)}


CHECKS: dict[str, Callable[[], Mapping[str, object]]] = {
    "database": _database,
    "cache": _cache,
    "broker": _broker,
    "migrations": _migrations,
    "release": _release,
}
