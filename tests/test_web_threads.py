"""The threads of a web process: few serve, and one that waits keeps no other request waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from cinema import database
from cinema.web import threads
from cinema.web.threads import TooBusy, WebThreads, give_way
from tests.concurrency import and_disconnect

#: Far beyond what a busy machine needs. No test waits for it.
PATIENCE_S = 60
FEW, MANY = 2, 40


def run(main: Callable[[WebThreads], Coroutine[Any, Any, None]]) -> None:
    async def within_time() -> None:
        pool = WebThreads("request", FEW, longest_queue=100)
        await asyncio.wait_for(main(pool), PATIENCE_S)

    asyncio.run(within_time())


@pytest.fixture(autouse=True)
def _nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request wait too long: on a busy machine any request can."""
    monkeypatch.setattr(threads, "LONGEST_WAIT_S", 10 * PATIENCE_S)


@pytest.fixture
def never_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "STUCK_S", 10 * PATIENCE_S)


def test_requests_that_are_stuck_keep_no_other_waiting() -> None:
    async def main(pool: WebThreads) -> None:
        ends = threading.Event()
        stuck = [asyncio.create_task(pool.run(ends.wait)) for _ in range(3 * FEW)]
        await asyncio.sleep(0)
        assert await pool.run(lambda: "programme") == "programme"
        assert not any(task.done() for task in stuck)
        ends.set()
        assert await asyncio.gather(*stuck) == [True] * len(stuck)

    run(main)


@pytest.mark.usefixtures("never_stuck")
def test_requests_that_give_way_keep_no_other_waiting() -> None:
    async def main(pool: WebThreads) -> None:
        ends, before = threading.Event(), threading.active_count()

        def wait() -> bool:
            give_way()
            return ends.wait()

        waiting = [asyncio.create_task(pool.run(wait)) for _ in range(MANY)]
        await asyncio.sleep(0)
        assert await pool.run(lambda: "programme") == "programme"
        assert not any(task.done() for task in waiting)
        ends.set()
        await asyncio.gather(*waiting)
        while threading.active_count() > before + FEW:
            await asyncio.sleep(0.01)
        assert await pool.run(lambda: "again") == "again"

    run(main)


@pytest.mark.usefixtures("never_stuck")
def test_no_more_threads_serve_than_were_asked_for() -> None:
    names: set[int] = set()

    async def main(pool: WebThreads) -> None:
        def note() -> None:
            names.add(threading.get_ident())

        await asyncio.gather(*(pool.run(note) for _ in range(MANY)))

    run(main)
    assert 1 <= len(names) <= FEW


@pytest.mark.usefixtures("never_stuck")
def test_threads_that_have_a_successor_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_ASIDE", 1)
    ends, all_wait = threading.Event(), threading.Barrier(FEW + 1 + 1)

    def wait() -> bool:
        give_way()
        all_wait.wait(PATIENCE_S)
        return ends.wait(PATIENCE_S)

    async def main(pool: WebThreads) -> None:
        waiting = [asyncio.create_task(pool.run(wait)) for _ in range(FEW + 1)]
        await asyncio.to_thread(all_wait.wait, PATIENCE_S)
        last = asyncio.create_task(pool.run(lambda: "last"))
        await asyncio.sleep(0.05)
        assert not last.done()
        ends.set()
        assert await asyncio.gather(last, *waiting) == ["last", *[True] * len(waiting)]

    run(main)


def test_a_request_that_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(threads, "MAX_ASIDE", 0)
    ends = threading.Event()

    async def main(pool: WebThreads) -> None:
        stuck = [asyncio.create_task(pool.run(ends.wait)) for _ in range(FEW)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await pool.run(lambda: "late")
        ends.set()
        await asyncio.gather(*stuck)

    run(main)


def test_a_thread_that_fails_after_a_request_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []

    def fail(*, keep: bool) -> None:
        raise RuntimeError

    async def main(pool: WebThreads) -> None:
        monkeypatch.setattr(threads, "release_connection", fail)
        monkeypatch.setattr(threading, "excepthook", lambda error: failed.append(error.exc_type))
        for number in range(2 * FEW):
            assert await pool.run(partial(abs, number)) == number
            while len(failed) == number:
                await asyncio.sleep(0.01)

    run(main)
    assert failed == [RuntimeError] * 2 * FEW


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_yields_keeps_its_connection_only_in_a_transaction() -> None:
    def is_connected_after(*, atomic: bool) -> bool:
        def use() -> bool:
            connection.ensure_connection()
            give_way()
            return connection.connection is not None

        if not atomic:
            return use()
        with transaction.atomic():
            return use()

    async def main(pool: WebThreads) -> None:
        assert not await pool.run(lambda: is_connected_after(atomic=False))
        assert await pool.run(lambda: is_connected_after(atomic=True))

    run(main)


@pytest.mark.django_db(transaction=True)
def test_a_thread_without_another_request_gives_its_connection_back() -> None:
    found: list[Any] = []

    def use() -> None:
        connection.ensure_connection()
        found.append(connection)

    async def main(pool: WebThreads) -> None:
        await asyncio.gather(*(pool.run(use) for _ in range(MANY)))
        while any(wrapper.connection for wrapper in found):
            await asyncio.sleep(0.01)

    run(main)
    assert len(found) == MANY


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_gets_a_successor_after_a_request_gives_its_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = database.release_connection
    pool = WebThreads("request", 1, longest_queue=1, keeps_connections=True)

    def release_and_step_aside(*, keep: bool) -> None:
        release(keep=keep)
        if keep:
            threading.current_thread().step_aside()  # type: ignore[attr-defined]

    monkeypatch.setattr(threads, "release_connection", release_and_step_aside)

    def use() -> Any:
        connection.ensure_connection()
        return connections[DEFAULT_DB_ALIAS]

    async def main() -> None:
        used = await pool.run(use)
        while used.connection:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("keeps_connections", [True, False])
def test_a_serving_thread_keeps_its_connection_while_it_is_fresh(
    monkeypatch: pytest.MonkeyPatch, keeps_connections: bool
) -> None:
    monkeypatch.setattr(database, "RECENT_S", PATIENCE_S)
    pool = WebThreads("request", 1, longest_queue=1, keeps_connections=keeps_connections)

    def use() -> tuple[object, int]:
        had = connection.connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return had, cursor.fetchone()[0]

    def end(process: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [process])

    async def main() -> None:
        _, first = await pool.run(use)
        had, second = await pool.run(use)
        assert (had is not None) == keeps_connections
        if keeps_connections:
            assert first == second
            await asyncio.to_thread(partial(and_disconnect, partial(end, first)))
        had, _ = await pool.run(use)  # the request does not see that the server has ended it
        assert had is None
        monkeypatch.setattr(database, "RECENT_S", 0.0)
        had, _ = await pool.run(use)
        assert had is None
        await pool.run(lambda: connection.close())  # of that thread

    asyncio.run(main())
