"""What is read, decided and written as one step, whoever else does the same at that moment.

The decision is Python, and the same on the server of all processes and in the memory of one. A
script on the server would need it a second time, in Lua.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from redis.exceptions import WatchError

from cinema.cache import shared
from cinema.throttling.errors import TooManyRequests

T = TypeVar("T")
Server: TypeAlias = Any
#: What stands under a name, and for how many seconds it is kept; None deletes it.
Writes: TypeAlias = Mapping[str, tuple[bytes, int] | None]
#: From what stands under the names to what is written, and what the step returns.
Decision: TypeAlias = Callable[[list[bytes | None]], tuple[Writes, T]]

#: So often somebody else may come in between. With fewer threads than that it always succeeds.
ATTEMPTS = 100
#: Names that a process remembers while the cache is away.
CAPACITY = 20_000


@dataclass
class LocalValues:
    """The same of this process alone. Beyond the capacity the oldest is forgotten."""

    capacity: int = CAPACITY
    _values: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, names: Sequence[str], decide: Decision[T]) -> T:
        with self._lock:
            writes, result = decide([self._values.get(name) for name in names])
            for name, write in writes.items():
                self._values.pop(name, None)
                if write:
                    self._values[name] = write[0]
            while len(self._values) > self.capacity:
                self._values.popitem(last=False)
            return result

    def forget(self) -> None:
        self._values.clear()


local = LocalValues()


def step(names: Sequence[str], decide: Decision[T]) -> T:
    """Read what stands under the names, and write what `decide` makes of it.

    Args:
        decide: May be called more than once. What it raises passes through, and nothing is
            written.
    """
    done = shared().ask(lambda server: [_step_on(server, names, decide)])
    return done[0] if done else local.step(names, decide)


def _step_on(server: Server, names: Sequence[str], decide: Decision[T]) -> T:
    with server.pipeline() as pipeline:
        for _ in range(ATTEMPTS):
            pipeline.watch(*names)
            writes, result = decide(pipeline.mget(names))
            pipeline.multi()
            for name, write in writes.items():
                if write:
                    pipeline.set(name, write[0], ex=write[1])
                else:
                    pipeline.delete(name)
            try:
                pipeline.execute()
            except WatchError:
                continue
            return result
    raise TooManyRequests(1)
