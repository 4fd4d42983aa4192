"""Threads that run Django, with a bounded queue in front of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: A request that has waited longer for a thread is refused: most such clients are gone.
LONGEST_WAIT_S = 10.0


class TooBusy(Exception):
    """Too many requests wait for a thread, or this one has waited too long."""


@dataclass
class _Job(Generic[T]):
    run: Callable[[], T]
    done: asyncio.Future[T]
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_started: bool = False
    is_given_up: bool = False

    def start(self) -> bool:
        with self.lock:
            self.is_started = not self.is_given_up
            return self.is_started

    def give_up(self) -> None:
        """Refuse the call, unless a thread has begun it."""
        with self.lock:
            self.is_given_up = not self.is_started
        if self.is_given_up and not self.done.done():
            self.done.set_exception(TooBusy())


class WebThreads:
    """A pool of threads, each of which starts when it is first needed.

    Plain threads and a queue take less CPU for a request than `run_in_executor`: measured in
    docs/decisions/0054.
    """

    def __init__(self, name: str, threads: int, *, longest_queue: int) -> None:
        self._name = name
        self._threads = threads
        self._limit = threads + longest_queue
        self._started = 0
        self._pending = 0
        self._queue: SimpleQueue[_Job[Any]] = SimpleQueue()

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which a thread runs. Only the event loop calls this.

        Raises:
            TooBusy: The call was not run.
        """
        if self._pending >= self._limit:
            raise TooBusy
        self._pending += 1
        loop = asyncio.get_running_loop()
        job: _Job[T] = _Job(call, loop.create_future())
        waiting = None
        if self._pending > self._threads:
            waiting = loop.call_later(LONGEST_WAIT_S, job.give_up)
        try:
            self._queue.put(job)
            if self._started < min(self._pending, self._threads):
                self._started += 1
                name = f"{self._name}-{self._started}"
                # The end of the process does not wait for daemon threads.
                threading.Thread(target=self._work, name=name, daemon=True).start()
            return await job.done
        finally:
            self._pending -= 1
            if waiting:
                waiting.cancel()

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if not job.start():
                continue
            loop = job.done.get_loop()
            try:
                result = job.run()
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                loop.call_soon_threadsafe(_fail, job.done, error)
            else:
                loop.call_soon_threadsafe(_succeed, job.done, result)
            # A waiting thread must not keep the last response in memory.
            del job
            result = None


def _succeed(done: asyncio.Future[Any], result: object) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
