"""Threads that run Django, with a bounded queue in front of them.

Few threads serve requests, as Python runs one of them at a time. So none may be held by a request
that waits: for a turn, a lock, Postgres, or another server. Such a thread gets a successor, which
takes the next request in its place.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from django.db import connection

from cinema.database import release_connection, release_old_connection

T = TypeVar("T")

#: A request that has waited longer for a thread is refused: most such clients are gone.
LONGEST_WAIT_S = 10.0
#: If no request of a pool ends for so long while others wait, a thread gets a successor.
STUCK_S = 0.1
#: Threads of a pool that have a successor and still wait.
MAX_ASIDE = 64


class TooBusy(Exception):
    """Too many requests wait for a thread, or this one has waited too long."""


def give_way() -> None:
    """Let another thread serve requests while this one waits, as the caller is about to do.

    The connection to Postgres goes back to the pool. In a transaction nothing happens: threads
    that wait would take all connections.
    """
    thread = threading.current_thread()
    if isinstance(thread, _WebThread) and not connection.in_atomic_block:
        connection.close()
        thread.step_aside()


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

    def __init__(
        self, name: str, threads: int, *, longest_queue: int, keeps_connections: bool = False
    ) -> None:
        self.name = name
        self.keeps_connections = keeps_connections
        self.queue: SimpleQueue[_Job[Any]] = SimpleQueue()
        self.aside = threading.BoundedSemaphore(MAX_ASIDE)
        #: The threads that take further requests, the oldest first.
        self.serving: list[_WebThread] = []
        self._threads = threads
        self._limit = threads + longest_queue
        self._pending = 0
        self._ended = 0
        self._is_watching = False

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
            if not self._is_watching:
                self._is_watching = True
                loop.call_later(STUCK_S, self._watch, self._ended)
        try:
            self.queue.put(job)
            if len(self.serving) < min(self._pending, self._threads):
                _WebThread(self).start()
            return await job.done
        finally:
            self._pending -= 1
            self._ended += 1
            if waiting:
                waiting.cancel()

    def _watch(self, ended: int) -> None:
        """While requests wait and none ends, let one thread more serve them."""
        self._is_watching = not self.queue.empty()
        if not self._is_watching:
            return
        if self._ended == ended and self.serving:
            self.serving[0].step_aside()
        asyncio.get_running_loop().call_later(STUCK_S, self._watch, self._ended)


class _WebThread(threading.Thread):
    """A thread that serves requests until it has a successor."""

    def __init__(self, pool: WebThreads) -> None:
        # The end of the process does not wait for daemon threads.
        super().__init__(name=pool.name, daemon=True)
        self._pool = pool
        self._is_aside = False
        self._changing = threading.Lock()
        pool.serving.append(self)

    def step_aside(self) -> None:
        """Start a successor, and end after the present request."""
        with self._changing:
            if self._is_aside or not self._pool.aside.acquire(blocking=False):
                return
            self._is_aside = True
        successor = _WebThread(self._pool)
        self._pool.serving.remove(self)
        successor.start()

    def run(self) -> None:
        try:
            while not self._is_aside:
                self._serve_one()
            # It may have got its successor after the last request, while it kept its connection.
            release_connection(keep=False)
        finally:
            if self._is_aside:
                self._pool.aside.release()
            else:  # an error outside of the request: the next request starts another thread
                self._pool.serving.remove(self)

    def _serve_one(self) -> None:
        job = self._pool.queue.get()
        if not job.start():
            return
        loop = job.done.get_loop()
        try:
            release_old_connection()
            result = job.run()
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            loop.call_soon_threadsafe(_fail, job.done, error)
        else:
            loop.call_soon_threadsafe(_succeed, job.done, result)
        release_connection(keep=self._pool.keeps_connections and not self._is_aside)


def _succeed(done: asyncio.Future[Any], result: object) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
