"""The cache, which may be away: Django's Redis backend, answering as if empty when it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import orjson
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: After a failure the server is left alone for so long: requests must not queue up on time-outs.
PAUSE_S = 1.0


class JsonSerializer:
    """Values are JSON; a dataclass goes in as an object and comes out as a dictionary.

    Django's default is pickle, which runs whatever stands in the cache.
    """

    def dumps(self, value: object) -> bytes:
        return orjson.dumps(value)

    def loads(self, data: bytes) -> object:
        return orjson.loads(data)


class ForgivingRedisCache(RedisCache):
    """A cache holds nothing that cannot be made again, so its absence fails no request."""

    _away_until = 0.0

    def _forgive(self, operation: Callable[[], T], otherwise: T) -> T:
        if time.monotonic() < ForgivingRedisCache._away_until:
            return otherwise
        try:
            return operation()
        except (RedisError, OSError) as error:
            ForgivingRedisCache._away_until = time.monotonic() + PAUSE_S
            log.warning("the cache is away: %s", type(error).__name__)
            return otherwise

    def get(self, key: str, default: object = None, version: int | None = None) -> object:
        get = super().get
        return self._forgive(lambda: get(key, default, version), default)

    def set(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        set_ = super().set
        self._forgive(lambda: set_(key, value, timeout, version), None)

    def set_many(
        self,
        data: dict[str, object],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        set_many = super().set_many
        return self._forgive(lambda: set_many(data, timeout, version), list(data))

    def delete(self, key: str, version: int | None = None) -> bool:
        delete = super().delete
        return self._forgive(lambda: delete(key, version), False)
