"""The viewers whose matches must be renewed. It imports no NumPy: an idle worker needs none."""

from __future__ import annotations

from typing import cast

from redis.client import Pipeline

from cinema.cache import shared

_KEY = "recommendations:waiting_for_matches"
_KEPT_S = 3600


def add_viewer(pipeline: Pipeline, user_id: int) -> None:
    """Have `services.renew_waiting` renew the viewer's matches within about a minute."""
    name = shared().make_and_validate_key(_KEY)
    pipeline.sadd(name, user_id)
    pipeline.expire(name, _KEPT_S)


def is_empty() -> bool:
    """Whether nobody waits, or the cache is away."""
    name = shared().make_and_validate_key(_KEY)
    return not shared().ask(lambda server: server.exists(name))


def count_waiting(pipeline: Pipeline) -> None:
    """Ask for the number of viewers who wait."""
    pipeline.scard(shared().make_and_validate_key(_KEY))


def take_viewer() -> int | None:
    """Take any viewer off the queue."""
    name = shared().make_and_validate_key(_KEY)
    found = shared().ask(lambda server: server.spop(name))
    return int(cast("bytes", found)) if found else None
