"""Valkey, by which the processes agree how TMDb may be asked. It may be away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Of redis-py, whose annotations leave open whether an answer has to be awaited.
Server: TypeAlias = Any

TIMEOUT_S = 0.5
#: After a failure the server is left alone for so long: calls must not queue up on time-outs.
PAUSE_S = 1.0

_away_until = 0.0


def key(name: str) -> str:
    """The full name of a key, below the prefix of all of Cinema's keys.

    The braces put all of these keys into one slot of a Redis cluster.
    """
    return f"{settings.CACHES['default']['KEY_PREFIX']}:{{tmdb}}:{name}"


@lru_cache(maxsize=1)
def _server(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def ask(operation: Callable[[Server], T], *, otherwise: Callable[[], T]) -> T:
    """What the operation on the server returns; while it is away, what `otherwise` returns."""
    global _away_until
    if time.monotonic() >= _away_until:
        try:
            return operation(_server(settings.REDIS_URL))
        except (RedisError, OSError) as error:
            _away_until = time.monotonic() + PAUSE_S
            log.warning("each process counts for itself: Valkey is away: %s", type(error).__name__)
    return otherwise()
