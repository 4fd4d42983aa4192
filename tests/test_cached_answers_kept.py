"""The keeping of answers by itself, on the real Valkey: two `Answers` are two processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from cinema import response_cache
from cinema.cache import shared
from cinema.http import OVERHEAD_BYTES, Document
from cinema.response_cache import MAX_BYTES, CacheKind, ResponseCache
from tests.concurrency import at_once

LASTING = CacheKind("lasting", lambda: 60, places=4)
ENDED = CacheKind("ended", lambda: 0, places=4)
REVOCABLE = CacheKind("revocable", lambda: 60, places=4, is_revocable=True)


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
    label: str = "1",
) -> bytes:
    document, is_last_known = process.get(kind, "question", label, make)
    assert not is_last_known
    return document.body


def outcomes(process: ResponseCache) -> dict[str, int]:
    return {outcome: n for (_, outcome), n in process.tally.totals(1)[0].items()}


# --- one makes it


@pytest.mark.parametrize("processes", [1, 3])
def test_of_many_at_once_one_makes_the_answer_and_the_others_wait_for_it(processes: int) -> None:
    make, answering = Maker(), [ResponseCache() for _ in range(processes)]
    make.may_end.clear()
    calls = [partial(ask, process, make) for process in answering for _ in range(6)]
    release = threading.Timer(0.2, make.may_end.set)
    release.start()
    assert at_once(calls) == [b"1"] * len(calls)
    release.join()
    assert make.made == 1
    counted: dict[str, int] = outcomes(answering[0])
    for process in answering[1:]:
        counted = outcomes(process)  # each adds its own to the cache's
    assert counted["made"] == 1
    assert sum(counted.values()) == len(calls)


def test_while_one_makes_it_anew_the_others_get_the_old_one_at_once() -> None:
    make, here, elsewhere = Maker(), ResponseCache(), ResponseCache()
    assert ask(here, make, kind=ENDED) == b"1"
    make.has_begun.clear()
    make.may_end.clear()
    renewing = threading.Thread(target=ask, args=(here, make), kwargs={"kind": ENDED})
    renewing.start()
    assert make.has_begun.wait(timeout=60)
    assert ask(here, make, kind=ENDED) == b"1"
    assert ask(elsewhere, make, kind=ENDED) == b"1"
    assert make.made == 2
    make.may_end.set()
    renewing.join()
    assert outcomes(here)["stale"] == 1


def test_what_goes_wrong_in_making_is_told_to_all_who_wait_and_kept_by_nobody() -> None:
    process, make = ResponseCache(), Maker()

    def fail() -> Document:
        make()
        raise LookupError("there is no such film")

    def attempt() -> str:
        try:
            return ask(process, fail).decode()
        except LookupError as error:
            return str(error)

    assert set(at_once([attempt] * 6)) == {"there is no such film"}
    assert ask(process, Maker()) == b"1"


def test_a_process_that_died_over_it_is_not_waited_for_for_ever() -> None:
    impatient = CacheKind("impatient", lambda: 60, places=4, patience_s=0.1)
    cache.set(f"{impatient.place('question')}:making:1", 1)
    assert ask(ResponseCache(), Maker(), kind=impatient) == b"1"


def test_a_thread_that_takes_too_long_is_not_waited_for_for_ever() -> None:
    impatient = CacheKind("impatient", lambda: 60, places=4, patience_s=0.1)
    slow, process = Maker(), ResponseCache()
    slow.may_end.clear()
    first = threading.Thread(target=ask, args=(process, slow), kwargs={"kind": impatient})
    first.start()
    assert slow.has_begun.wait(timeout=60)
    assert ask(process, lambda: Document(b"mine"), kind=impatient) == b"mine"
    slow.may_end.set()
    first.join()


def test_a_cache_that_is_slow_is_asked_for_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_cache, "SLOW_S", -1)
    process, make = ResponseCache(), Maker()
    assert ask(process, make) == ask(process, make) == b"1"
    assert cache.get(LASTING.place("question")) is None
    assert ask(ResponseCache(), make) == b"2"


# --- for as long as it holds


def test_an_answer_comes_from_memory_and_for_another_process_from_the_cache() -> None:
    make, here, elsewhere = Maker(), ResponseCache(), ResponseCache()
    for process in (here, here, elsewhere, elsewhere):
        assert ask(process, make) == b"1"
    assert make.made == 1
    assert outcomes(here) == {"made": 1, "memory": 1}
    assert outcomes(elsewhere) == {"made": 1, "memory": 2, "cache": 1}


def test_a_changed_label_ends_it_in_memory_and_in_the_cache() -> None:
    make, here, elsewhere = Maker(), ResponseCache(), ResponseCache()
    assert ask(here, make, label="1") == b"1"
    assert ask(elsewhere, make, label="2") == b"2"
    assert ask(here, make, label="2") == b"2"


def test_a_process_that_lags_behind_passes_nothing_old_on() -> None:
    """It writes what it made of the data of yesterday over what another made of today's."""
    lagging, up_to_date = ResponseCache(), ResponseCache()
    assert ask(up_to_date, lambda: Document(b"new"), label="2") == b"new"
    assert ask(lagging, lambda: Document(b"old"), label="1") == b"old"
    assert ask(ResponseCache(), lambda: Document(b"new"), label="2") == b"new"


def test_an_answer_lives_as_long_as_its_kind_says() -> None:
    make, process = Maker(), ResponseCache()
    assert [ask(process, make, kind=ENDED) for _ in range(3)] == [b"1", b"2", b"3"]


# --- revoked


def test_a_revoked_answer_is_made_anew_by_every_process() -> None:
    make, here, elsewhere = Maker(), ResponseCache(), ResponseCache()
    assert ask(here, make, kind=REVOCABLE) == ask(elsewhere, make, kind=REVOCABLE) == b"1"
    assert here.revoke(REVOCABLE, "question")
    assert ask(elsewhere, make, kind=REVOCABLE) == b"2"
    assert ask(here, make, kind=REVOCABLE) == b"2"


def test_an_answer_that_was_being_made_when_it_was_revoked_does_not_count() -> None:
    """What it is made of was read before the change, and it is kept after it."""
    here, elsewhere = ResponseCache(), ResponseCache()

    def make_of_old_data() -> Document:
        elsewhere.revoke(REVOCABLE, "question")
        return Document(b"old")

    assert ask(here, make_of_old_data, kind=REVOCABLE) == b"old"
    for process in (here, elsewhere):
        assert ask(process, lambda: Document(b"new"), kind=REVOCABLE) == b"new"


def test_between_two_looks_a_revocable_answer_comes_from_memory(settings: object) -> None:
    make, process = Maker(), ResponseCache()
    settings.CATALOGUE_CHECK_INTERVAL_S = 60  # type: ignore[attr-defined]
    assert ask(process, make, kind=REVOCABLE) == ask(process, make, kind=REVOCABLE) == b"1"
    assert outcomes(process) == {"made": 1, "memory": 1}
    assert process.revoke(REVOCABLE, "question")
    assert ask(process, make, kind=REVOCABLE) == b"2"


# --- bounded


def test_however_much_is_asked_the_cache_holds_as_many_as_there_are_places() -> None:
    """And no question gets the answer of one that shares its place."""
    for process in (ResponseCache(), ResponseCache()):
        for number in range(50):
            text = f"question {number}"
            document, _ = process.get(LASTING, text, "1", partial(Document, text.encode()))
            assert document.body == text.encode()
    assert 0 < len(shared().keys_below("answers:lasting:")) <= LASTING.places


def test_memory_forgets_what_was_not_asked_for_longest_and_of_the_largest_kind_alone(
    settings: Settings,
) -> None:
    settings.CACHE_SIZE = 2 * 4 * (1000 + OVERHEAD_BYTES + 50) / 2**20  # four answers
    process, make = ResponseCache(), Maker(size_bytes=1000)
    ask(process, make, kind=REVOCABLE)
    for text in ("a", "b", "c", "a", "d"):
        process.get(LASTING, text, "1", make)
    cache.clear()
    before = make.made
    for text in ("a", "c", "d"):
        process.get(LASTING, text, "1", make)
    assert make.made == before
    process.get(LASTING, "b", "1", make)
    assert make.made == before + 1
    assert process.last_known(REVOCABLE, "question")


def test_memory_holds_half_of_the_cache_size_whatever_is_asked(settings: Settings) -> None:
    settings.CACHE_SIZE = 1
    process, make, luck = ResponseCache(), Maker(size_bytes=1000), Random(1)
    kinds = [CacheKind(f"kind-{number}", lambda: 60, places=4) for number in range(5)]
    for number in range(2000):
        text = "question" * luck.randrange(1, 30) + str(number)
        process.get(luck.choice(kinds), text, "1", make)
    shelves = process._memory._shelves.values()
    kept = [each.entry for shelf in shelves for each in shelf.entries.values()]
    size_bytes = sum(entry.size_bytes for entry in kept)
    assert 0.95 * 2**19 < size_bytes <= 2**19
    assert sum(shelf.size_bytes for shelf in shelves) == size_bytes
    assert sum(len(entry.document.body) for entry in kept) < size_bytes
    assert min(len(shelf.entries) for shelf in shelves) > 20


def test_without_memory_answers_come_from_the_cache(settings: Settings) -> None:
    settings.CACHE_SIZE = 0
    make, process = Maker(), ResponseCache()
    assert [ask(process, make) for _ in range(3)] == [b"1"] * 3
    assert outcomes(process) == {"made": 1, "cache": 2}


def test_what_is_too_large_is_kept_nowhere() -> None:
    make, process = Maker(size_bytes=MAX_BYTES + 1), ResponseCache()
    assert ask(process, make).strip() == b"1"
    assert ask(process, make).strip() == b"2"
    assert cache.get(LASTING.place("question")) is None


@pytest.mark.parametrize(
    "left", [b"", b"\n", b"[1]\nbody", b'{"a": 1}\n', b"5\nbody", b"null\nx", "text", 5, [], {}]
)
def test_what_another_version_left_in_the_cache_is_made_anew(left: object) -> None:
    cache.set(LASTING.place("question"), left)
    assert ask(ResponseCache(), Maker()) == b"1"
