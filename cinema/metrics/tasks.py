"""Counts of Celery tasks, and the states that workers and beat publish."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import orjson
from celery.signals import heartbeat_sent, task_postrun, task_prerun

from cinema.cache import shared
from cinema.metrics.totals import totals

WORKERS, BEATS = "metrics:workers", "metrics:beats"
#: A worker sends its state every two seconds, and counts as gone after this time. On a busy machine
#: its low priority delays it.
WORKER_GONE_S = 30
OUTCOMES = {"SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "retried"}

_started_at: dict[str, float] = {}


@task_prerun.connect
def note_start(task_id: str, **kwargs: object) -> None:
    _started_at[task_id] = time.perf_counter()


@task_postrun.connect
def count_task(task_id: str, task: Any, state: str | None = None, **kwargs: object) -> None:
    """Count the attempt. A task that is repeated counts as `retried` each time but the last."""
    now = time.perf_counter()
    took_ms = round((now - _started_at.pop(task_id, now)) * 1000)
    outcome = OUTCOMES.get(state or "", "other")
    totals.add({("tasks", task.name, outcome): 1, ("task_ms", task.name): took_ms})


@heartbeat_sent.connect
def publish_worker(sender: Any, **kwargs: object) -> None:
    """Tell which tasks run, in pools of any kind."""
    from celery.worker import state as worker_state  # which the web and beat have no use for

    running = Counter(request.name for request in worker_state.active_requests)
    _publish(WORKERS, {sender.eventer.hostname: [time.time(), running]})


def publish_beats(sent_at: dict[str, float]) -> None:
    """Tell when each entry of the schedule was sent last, in Unix time."""
    if sent_at:
        _publish(BEATS, sent_at)


def read_beats() -> dict[str, float] | None:
    """When each entry was sent last, in Unix time; None while Valkey is away."""
    name = shared().make_and_validate_key(BEATS)
    found: Any = shared().ask(lambda server: server.hgetall(name))
    if found is None:
        return None
    return {str(entry, "utf-8"): float(orjson.loads(at)) for entry, at in found.items()}


def _publish(key: str, fields: dict[str, Any]) -> None:
    name = shared().make_and_validate_key(key)
    packed: dict[Any, Any] = {field: orjson.dumps(value) for field, value in fields.items()}
    shared().ask(lambda server: server.hset(name, mapping=packed))
