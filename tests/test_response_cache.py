"""The response cache by itself, on the real Valkey: two `ResponseCache` are two processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from cinema.cache import shared
from cinema.cache_statistics import CacheTally
from cinema.http import OVERHEAD_BYTES, Document
from cinema.response_cache import MAX_SHARED_BYTES, CacheKind, PolledValue, ResponseCache
from tests.concurrency import at_once

LASTING = CacheKind("lasting", lambda: 60, memory_share=0.5, places=4, patience_s=60)
ENDED = CacheKind("ended", lambda: 0, memory_share=0.1, places=4)
OTHER = CacheKind("other", lambda: 60, memory_share=0.1, places=4)
OWN = CacheKind("own", lambda: 60, memory_share=0.1)
FEW = CacheKind("few", lambda: 60, entries=2)
IMPATIENT = CacheKind("impatient", lambda: 60, memory_share=0.1, patience_s=0.1)


def process() -> ResponseCache:
    return ResponseCache(CacheTally())


class Maker:
    """Makes documents, numbered in order; can be held up in the middle of it."""

    def __init__(self, *, size_bytes: int = 1) -> None:
        self.made = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self._size_bytes = size_bytes

    def __call__(self) -> Document:
        self.made += 1
        number = self.made
        self.has_begun.set()
        assert self.may_end.wait(timeout=60)
        return Document(str(number).encode().rjust(self._size_bytes))


def ask(
    process: ResponseCache,
    make: Callable[[], Document],
    *,
    kind: CacheKind = LASTING,
    version: str = "1",
) -> bytes:
    document, is_last_known = process.get(kind, "question", version, make)
    assert not is_last_known
    return document.body


def outcomes(process: ResponseCache) -> dict[str, int]:
    return {name.partition(":")[2]: n for name, n in process.tally.totals(1)[0].items()}


# --- one request builds a response


def test_one_of_many_simultaneous_requests_makes_the_answer() -> None:
    make, here = Maker(), process()
    make.may_end.clear()
    release = threading.Timer(0.2, make.may_end.set)
    release.start()
    assert at_once([partial(ask, here, make)] * 6) == [b"1"] * 6
    release.join()
    assert make.made == 1
    counted = outcomes(here)
    assert counted["made"] == 1
    assert sum(counted.values()) == 6


def test_an_old_answer_is_served_while_one_request_renews_it() -> None:
    make, here = Maker(), process()
    assert ask(here, make, kind=ENDED) == b"1"
    make.has_begun.clear()
    make.may_end.clear()
    renewing = threading.Thread(target=ask, args=(here, make), kwargs={"kind": ENDED})
    renewing.start()
    assert make.has_begun.wait(timeout=60)
    assert ask(here, make, kind=ENDED) == b"1"
    assert make.made == 2
    make.may_end.set()
    renewing.join()
    assert outcomes(here)["stale"] == 1


def test_an_error_is_raised_for_all_waiting_requests_and_not_cached() -> None:
    here, make = process(), Maker()

    def fail() -> Document:
        make()
        raise LookupError("there is no such film")

    def attempt() -> str:
        try:
            return ask(here, fail).decode()
        except LookupError as error:
            return str(error)

    assert set(at_once([attempt] * 6)) == {"there is no such film"}
    assert ask(here, Maker()) == b"1"


def test_a_thread_that_takes_too_long_is_not_waited_for_for_ever() -> None:
    slow, here = Maker(), process()
    slow.may_end.clear()
    first = threading.Thread(target=ask, args=(here, slow), kwargs={"kind": IMPATIENT})
    first.start()
    assert slow.has_begun.wait(timeout=60)
    assert ask(here, lambda: Document(b"mine"), kind=IMPATIENT) == b"mine"
    slow.may_end.set()
    first.join()


# --- for as long as it counts


def test_an_answer_comes_from_memory_and_for_another_process_from_the_cache() -> None:
    make, here, elsewhere = Maker(), process(), process()
    for each in (here, here, elsewhere, elsewhere):
        assert ask(each, make) == b"1"
    assert make.made == 1
    assert outcomes(here) == {"made": 1, "memory": 1}
    assert outcomes(elsewhere) == {"made": 1, "memory": 2, "cache": 1}


def test_a_kind_without_places_is_not_stored_in_the_cache() -> None:
    make = Maker()
    assert ask(process(), make, kind=OWN) == b"1"
    assert ask(process(), make, kind=OWN) == b"2"
    assert shared().keys_below("responses:") == []


def test_a_new_version_ends_an_answer_in_memory_and_in_the_cache() -> None:
    make, here, elsewhere = Maker(), process(), process()
    assert ask(here, make, version="1") == b"1"
    assert ask(elsewhere, make, version="2") == b"2"
    assert ask(here, make, version="2") == b"2"


def test_a_process_that_lags_behind_passes_nothing_old_on() -> None:
    """It writes what it made of the data of yesterday over what another made of today's."""
    lagging, up_to_date = process(), process()
    assert ask(up_to_date, lambda: Document(b"new"), version="2") == b"new"
    assert ask(lagging, lambda: Document(b"old"), version="1") == b"old"
    assert ask(process(), lambda: Document(b"new"), version="2") == b"new"


def test_an_answer_lives_as_long_as_its_kind_says() -> None:
    make, here = Maker(), process()
    assert [ask(here, make, kind=ENDED) for _ in range(3)] == [b"1", b"2", b"3"]


# --- bounded


def test_however_much_is_asked_the_cache_holds_as_many_as_there_are_places() -> None:
    """And no question gets the answer of one that shares its place."""
    for each in (process(), process()):
        for number in range(50):
            text = f"question {number}"
            document, _ = each.get(LASTING, text, "1", partial(Document, text.encode()))
            assert document.body == text.encode()
    assert 0 < len(shared().keys_below("responses:lasting:")) <= LASTING.places


def test_memory_forgets_the_least_recently_used_answer_of_a_kind(
    settings: Settings,
) -> None:
    settings.CACHE_SIZE = 3 * (1000 + OVERHEAD_BYTES + 50) / LASTING.memory_share / 2**20
    here, make = process(), Maker(size_bytes=100)
    ask(here, make, kind=OTHER)
    make = Maker(size_bytes=1000)
    for text in ("a", "b", "c", "a", "d"):
        here.get(LASTING, text, "1", make)
    cache.clear()
    before = make.made
    for text in ("a", "c", "d"):
        here.get(LASTING, text, "1", make)
    assert make.made == before
    here.get(LASTING, "b", "1", make)
    assert make.made == before + 1
    assert here.get(OTHER, "question", None, make)[1]


def test_memory_holds_its_share_of_the_cache_size_whatever_is_asked(settings: Settings) -> None:
    settings.CACHE_SIZE = 1
    here, make, luck = process(), Maker(size_bytes=1000), Random(1)
    kinds = [CacheKind(f"kind-{n}", lambda: 60, memory_share=0.2, places=4) for n in range(5)]
    for number in range(2000):
        text = "question" * luck.randrange(1, 30) + str(number)
        here.get(luck.choice(kinds), text, "1", make)
    for kind in kinds:
        kept = here._memory[kind].values()
        size_bytes = sum(len(each.document.body) + len(str(each.question)) for each in kept)
        assert size_bytes + len(kept) * OVERHEAD_BYTES == here._memory[kind].currsize
        assert 0.19 * 2**20 < here._memory[kind].currsize <= 0.2 * 2**20


def test_a_few_responses_are_kept_without_memory_of_their_own(settings: Settings) -> None:
    settings.CACHE_SIZE = 0
    make, here = Maker(), process()
    for text in ("a", "b", "a", "b"):
        here.get(FEW, text, "1", make)
    assert make.made == 2
    here.get(FEW, "c", "1", make)
    assert len(here._memory[FEW]) == 2


def test_without_memory_answers_come_from_the_cache(settings: Settings) -> None:
    settings.CACHE_SIZE = 0
    make, here = Maker(), process()
    assert [ask(here, make) for _ in range(3)] == [b"1"] * 3
    assert outcomes(here) == {"made": 1, "cache": 2}


def test_a_too_large_answer_is_not_cached() -> None:
    make, here = Maker(size_bytes=MAX_SHARED_BYTES + 1), process()
    assert ask(here, make).strip() == b"1"
    assert ask(here, make).strip() == b"2"
    assert cache.get(LASTING.key("question")) is None


@pytest.mark.parametrize(
    "left", [[1], ["question", "1", "now", "1"], {"a": 1}, 5, None, "text", [], {}]
)
def test_entries_of_another_version_are_made_anew(left: object) -> None:
    cache.set(LASTING.key("question"), left)
    assert ask(process(), Maker()) == b"1"


# --- values that follow the database


class Source:
    """A polled value whose polls can be held up after they have read."""

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


def test_the_next_caller_reads_the_value_after_a_change_in_this_process() -> None:
    source = Source()
    followed = PolledValue(source.look, lambda: 3600)
    followed.get()
    source.value = 2
    followed.expire()
    assert at_once([followed.get] * 8) == [2] * 8
    assert source.looks == 2


def test_a_read_that_began_before_the_change_does_not_count() -> None:
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


def test_callers_get_the_old_value_while_one_reads_the_new_one() -> None:
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
