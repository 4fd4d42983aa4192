"""Password guessing is slowed down, and no attacker can lock a viewer out.

After `ATTEMPTS` wrong passwords there is a pause before the next password is checked, and
it doubles with each further wrong one. Wrong passwords count for the account, from any address, and
for the address, whatever the account. Where an account was signed in before, its viewer is judged
by the attempts on this account from this address alone: neither the guesses of strangers count
there, nor those of neighbours.

Unknown accounts count like all others, so that a pause does not tell which accounts exist.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, TypeVar

from django.conf import settings
from redis.exceptions import WatchError

from cinema.cache import shared
from cinema.metrics.counters import sign_in_failures, throttled_requests
from cinema.throttling.counters import CAPACITY, hidden_name
from cinema.throttling.limits import Limit, TooManyRequests, account_of

T = TypeVar("T")
#: The value to store under each name, with its lifetime in seconds; None deletes the value.
Writes: TypeAlias = Mapping[str, tuple[bytes, int] | None]
#: Takes the values under the names; returns the writes and the result of the step.
Decision: TypeAlias = Callable[[list[bytes | None]], tuple[Writes, T]]

ATTEMPTS: int = settings.LOCKOUT_ATTEMPTS
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 60
#: The count starts again after this time without a wrong password.
FORGET_S = 900
#: An address from which an account was signed in is remembered for 30 days.
KNOWN_S = 30 * 24 * 3600
#: More collisions than this need more threads than Cinema runs.
COMPARE_AND_SET_ATTEMPTS = 100


class TooManyAttempts(TooManyRequests):
    """There were too many wrong passwords; this one was not checked."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s, "wrong passwords")


def _refuse(wait_s: float) -> NoReturn:
    throttled_requests.labels("wrong_passwords").inc()
    raise TooManyAttempts(wait_s)


def check_sign_in(check: Callable[[], T], *, account: str, address: str) -> T:
    """Call `check`, which looks at a password, and count a false result as a wrong password.

    Args:
        check: Its exceptions pass through, and do not count.
        account: An e-mail address, of an account or not.
        address: The result of `client_address`.

    Raises:
        TooManyAttempts: `check` was not called.
    """
    names = _Names.of(account, address)
    now = time.time()

    def begin(values: list[bytes | None]) -> tuple[Writes, _Attempt]:
        known, *packed = values
        pair, of_account, of_address = (_Failures.unpack(each, now) for each in packed)
        if known:
            return _begin_attempt(names.pair, pair, now)
        if (wait_s := of_address.wait_s(now)) > max(0, of_account.wait_s(now)):
            _refuse(wait_s)
        return _begin_attempt(names.account, of_account, now)

    attempt = _compare_and_set([names.known, names.pair, names.account, names.address], begin)
    if found := _finish(check, attempt):
        _trust_address(names)
        return found
    sign_in_failures.labels("sign-in").inc()
    if attempt.name == names.account:
        _update(names.address, _Failures.one_more)
    return found


class SignInLimit(Limit):
    """A limit of sign-ins. From a known address they count for the address alone.

    So strangers cannot use up the limit of an account.
    """

    def counts_account(self, account: str, address: str) -> bool:
        known = _Names.of(account, address).known
        return not _compare_and_set([known], lambda values: ({}, bool(values[0])))


def check_confirmation(check: Callable[[], T], *, viewer_id: int) -> T:
    """Check the password of a signed-in viewer who is asked for it again.

    Only such attempts count here, from any address: strangers cannot make the viewer wait.
    """
    name = hidden_name("viewer", str(viewer_id))
    now = time.time()
    attempt = _compare_and_set(
        [name], lambda values: _begin_attempt(name, _Failures.unpack(values[0], now), now)
    )
    if found := _finish(check, attempt):
        _compare_and_set([name], lambda values: ({name: None}, None))
    else:
        sign_in_failures.labels("confirmation").inc()
    return found


def trust_address(*, account: str, address: str) -> None:
    """Remember that the viewer was at this address, after another proof such as a mailed link."""
    _trust_address(_Names.of(account, address))


# --- wrong passwords


@dataclass(frozen=True)
class _Failures:
    """Wrong passwords in a row.

    Attributes:
        last_at: The time of the last one, in seconds since 1970.
    """

    count: int = 0
    last_at: float = 0.0

    @classmethod
    def unpack(cls, packed: bytes | None, now: float) -> _Failures:
        count, _, last_at = (packed or b"0:0").partition(b":")
        # A time in the future, from before the clock was set back, would prolong the pause.
        found = cls(int(count), min(float(last_at), now))
        return found if now - found.last_at < FORGET_S else cls()

    def pack(self) -> tuple[bytes, int] | None:
        if not self.count:
            return None
        return f"{self.count}:{self.last_at!r}".encode(), FORGET_S

    def wait_s(self, now: float) -> float:
        """The seconds until the next password is checked; negative or zero if it is now."""
        beyond = self.count - ATTEMPTS
        if beyond < 0:
            return 0.0
        # The bound keeps the power within a float.
        pause_s: int = FIRST_PAUSE_S * 2 ** min(beyond, 60)
        return self.last_at + min(pause_s, LONGEST_PAUSE_S) - now

    def one_more(self, now: float) -> _Failures:
        return _Failures(self.count + 1, now)


@dataclass(frozen=True)
class _Attempt:
    """A password that is being checked, and counts as wrong until it turns out to be right.

    Attributes:
        name: The account's name, or that of the account and the address.
        at: The time at which it was counted.
        previous_at: The time of the failure before it.
    """

    name: str
    at: float
    previous_at: float

    def take_back(self, failures: _Failures, now: float) -> _Failures:
        """Uncount this attempt. Failures of others, which came meanwhile, stay."""
        last_at = self.previous_at if failures.last_at == self.at else failures.last_at
        return _Failures(max(0, failures.count - 1), last_at)


@dataclass(frozen=True)
class _Names:
    account: str
    address: str
    pair: str
    known: str

    @classmethod
    def of(cls, email: str, address: str) -> _Names:
        account = account_of(email)
        return cls(
            hidden_name("account", account),
            hidden_name("address", address),
            hidden_name("pair", account, address),
            hidden_name("known", account, address),
        )


def _begin_attempt(name: str, failures: _Failures, now: float) -> tuple[Writes, _Attempt]:
    """Count the attempt before the check: of a thousand at once all would be within the limit."""
    if (wait_s := failures.wait_s(now)) > 0:
        _refuse(wait_s)
    return {name: failures.one_more(now).pack()}, _Attempt(name, now, failures.last_at)


def _finish(check: Callable[[], T], attempt: _Attempt) -> T:
    """Check the password, and uncount the attempt unless the password is wrong."""
    try:
        found = check()
    except BaseException:
        _update(attempt.name, attempt.take_back)
        raise
    if found:
        _update(attempt.name, attempt.take_back)
    return found


def _update(name: str, change: Callable[[_Failures, float], _Failures]) -> None:
    now = time.time()
    _compare_and_set(
        [name], lambda values: ({name: change(_Failures.unpack(values[0], now), now).pack()}, None)
    )


def _trust_address(names: _Names) -> None:
    """Forget the failures of this account at this address. Those elsewhere still count."""
    writes: Writes = {names.known: (b"1", KNOWN_S), names.pair: None}
    _compare_and_set([names.known], lambda values: (writes, None))


# --- compare-and-set


class LocalValues:
    """The values of this process. Beyond its capacity it forgets the oldest one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def compare_and_set(self, names: Sequence[str], decide: Decision[T]) -> T:
        with self._lock:
            writes, result = decide([self._values.get(name) for name in names])
            for name, write in writes.items():
                self._values.pop(name, None)
                if write:
                    self._values[name] = write[0]
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)
            return result

    def clear(self) -> None:
        self._values.clear()


values_while_away = LocalValues()


def _compare_and_set(names: Sequence[str], decide: Decision[T]) -> T:
    """Read the values under the names and write what `decide` returns, as one step.

    The decision is Python, for Valkey and for the memory of a process alike; a script on the server
    would be a second implementation, in Lua.

    Args:
        decide: It may be called more than once. If it raises, nothing is written.
    """
    done = shared().ask(lambda server: [_compare_and_set_on(server, names, decide)])
    return done[0] if done else values_while_away.compare_and_set(names, decide)


def _compare_and_set_on(server: Any, names: Sequence[str], decide: Decision[T]) -> T:
    with server.pipeline() as pipeline:
        for _ in range(COMPARE_AND_SET_ATTEMPTS):
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
