"""The shared cache: Django's Redis backend, which behaves like an empty cache while it is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

import orjson
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from cinema.tracing import span
from cinema.valkey import connect

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The server is not asked for so long after a failure: requests must not queue up on time-outs.
PAUSE_S = 1.0


class JsonSerializer:
    """Django's default is pickle, which runs the code that somebody has put into the cache.

    A dataclass goes in as an object and comes out as a dictionary.
    """

    def dumps(self, value: object) -> bytes:
        return orjson.dumps(value)

    def loads(self, data: bytes) -> object:
        return orjson.loads(data)


class _Client(RedisCacheClient):
    """One `Redis` for all calls. Django makes one for each, which costs as much as the call."""

    def get_client(self, key: object = None, *, write: bool = False) -> Redis:
        return self._redis

    @cached_property
    def _redis(self) -> Redis:
        client: Any = self
        options = {**client._pool_options}
        url = ",".join(client._servers)  # Django divides it, also where it names several Sentinels
        return connect(url, timeout_s=options.pop("socket_timeout"), **options)


class ForgivingRedisCache(RedisCache):
    """A cache whose absence fails no request: everything in it can be made again."""

    #: Monotonic seconds, for all threads; zero while the server answers.
    _away_until: ClassVar[float] = 0.0
    _trying: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client

    def validate_key(self, key: str) -> None:
        """Django looks at each character for Memcached's sake; this server takes any key."""

    def _forgive(self, operation: Callable[[], T], otherwise: T) -> T:
        cls = ForgivingRedisCache
        if not cls._away_until:
            return self._attempt(operation, otherwise)
        # One thread tests whether the server is back: if it hangs, the other threads do not.
        if time.monotonic() < cls._away_until or not cls._trying.acquire(blocking=False):
            return otherwise
        try:
            return self._attempt(operation, otherwise)
        finally:
            cls._trying.release()

    def _attempt(self, operation: Callable[[], T], otherwise: T) -> T:
        try:
            with span("cache", "CLIENT"):
                result = operation()
        except (RedisError, OSError) as error:
            ForgivingRedisCache._away_until = time.monotonic() + PAUSE_S
            log.warning("the cache is away: %s", type(error).__name__)
            return otherwise
        ForgivingRedisCache._away_until = 0.0
        return result

    def get(self, key: str, default: object = None, version: int | None = None) -> object:
        get = super().get
        return self._forgive(lambda: get(key, default, version), default)

    def find(self, keys: Iterable[str]) -> dict[str, object] | None:
        """Return the keys that exist, with their values; None while the server is away."""
        if not (wanted := list(keys)):
            return {}  # the server refuses MGET without keys, which would count as away
        get_many = super().get_many
        return self._forgive(lambda: get_many(wanted), None)

    def get_bytes(self, keys: Sequence[str]) -> list[bytes]:
        """Return the values as they are stored; empty ones for those that are not there."""
        names = [self.make_and_validate_key(key) for key in keys]
        found = self.ask(lambda server: server.mget(names)) if names else None
        return [each or b"" for each in cast("list[bytes | None]", found or [None] * len(names))]

    def set(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        set_ = super().set
        self._forgive(lambda: set_(key, value, timeout, version), None)

    def add(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Return whether the key was new; True for every caller while the server is away."""
        add = super().add
        return self._forgive(lambda: add(key, value, timeout, version), True)

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

    def keys_below(self, prefix: str) -> list[str]:
        """Return the keys with this prefix; none while the server is away.

        SCAN reads every key of the database, so this is not for a request.
        """
        start = self.make_and_validate_key(prefix)
        found = self.ask(lambda server: [*server.scan_iter(match=f"{start}*", count=1000)])
        return [prefix + str(key, "utf-8").removeprefix(start) for key in found or []]

    def clear(self) -> None:
        """Delete the keys below KEY_PREFIX.

        Django's own method is FLUSHDB, which also deletes the broker's queues and other programs'
        keys. SCAN reads every key of the database, so this is not for a request.
        """

        def run(server: Redis) -> None:
            if keys := [*server.scan_iter(match=f"{self.key_prefix}:*", count=1000)]:
                server.unlink(*keys)

        self.ask(run)

    def increase(self, key: str, amounts: Mapping[str, int], timeout: int) -> bool:
        """Add to the counters of a group in one step; return whether the server was there."""

        def run() -> bool:
            name = self.make_and_validate_key(key)
            pipeline = self._cache.get_client(name, write=True).pipeline()
            for counter, amount in amounts.items():
                pipeline.hincrby(name, counter, amount)
            pipeline.expire(name, timeout)
            pipeline.execute()
            return True

        return self._forgive(run, False)

    def counters(self, key: str) -> dict[str, int] | None:
        """Return the counters of a group; None while the server is away."""

        def run() -> dict[str, int]:
            name = self.make_and_validate_key(key)
            found = cast("dict[bytes, bytes]", self._cache.get_client(name).hgetall(name))
            return {str(counter, "ascii"): int(amount) for counter, amount in found.items()}

        return self._forgive(run, None)

    def send(self, add_commands: Callable[[Pipeline], object]) -> list[Any] | None:
        """Send commands in one round trip; return their results, or None while it is away."""

        def run(server: Redis) -> list[Any]:
            pipeline = server.pipeline(transaction=False)
            add_commands(pipeline)
            return pipeline.execute()

        return self.ask(run)

    def ask(self, operation: Callable[[Redis], T]) -> T | None:
        """Return the result of an operation on the server itself; None while it is away.

        The operation names its keys in full: `make_and_validate_key`.
        """
        return self._forgive(lambda: operation(self._cache.get_client(write=True)), None)


def shared() -> ForgivingRedisCache:
    """Return this thread's connection to the cache that all processes share."""
    return cast("ForgivingRedisCache", caches["default"])
