"""Values that follow the database: who looks, and who goes on with what is there."""

from __future__ import annotations

import threading

from cinema.response_cache import PolledValue
from tests.concurrency import at_once


class Source:
    """What is looked at, by looks that can be held up after they have read."""

    def __init__(self) -> None:
        self.value = 1
        self.looks = 0
        self.has_read = threading.Event()
        self.may_return = threading.Event()
        self.may_return.set()

    def look(self, old: int | None) -> int:
        self.looks += 1
        value = self.value
        self.has_read.set()
        assert self.may_return.wait(timeout=60)
        return value


def test_within_the_interval_one_look_serves_all() -> None:
    source = Source()
    followed = PolledValue(source.look, lambda: 3600)
    assert at_once([followed.get] * 8) == [1] * 8
    source.value = 2
    assert followed.get() == 1
    assert source.looks == 1


def test_a_change_through_this_process_is_looked_for_by_the_next_one_who_asks() -> None:
    source = Source()
    followed = PolledValue(source.look, lambda: 3600)
    followed.get()
    source.value = 2
    followed.expire()
    assert at_once([followed.get] * 8) == [2] * 8
    assert source.looks == 2


def test_a_look_that_began_before_the_change_does_not_count() -> None:
    source = Source()
    followed = PolledValue(source.look, lambda: 1e-9)
    followed.get()
    source.has_read.clear()
    source.may_return.clear()
    slow = threading.Thread(target=followed.get)
    slow.start()
    assert source.has_read.wait(timeout=60)
    source.value = 2
    followed.expire()
    source.may_return.set()
    slow.join()
    assert followed.get() == 2


def test_while_one_looks_the_others_go_on_with_what_is_there() -> None:
    source = Source()
    followed = PolledValue(source.look, lambda: 1e-9)
    followed.get()
    source.value = 2
    source.has_read.clear()
    source.may_return.clear()
    slow = threading.Thread(target=followed.get)
    slow.start()
    assert source.has_read.wait(timeout=60)
    assert followed.get() == 1
    source.may_return.set()
    slow.join()
    assert followed.get() == 2
