"""Who guesses passwords is slowed down, and nobody can have a viewer locked out for good.

After `LOCKOUT_ATTEMPTS` wrong passwords there is a pause before the next one is looked at, and it
doubles with each further one: of the account, whoever tries, and of the address, whichever account
it tries. Only where the account was signed in before, its viewer is judged by what was done from
there alone: an outsider's guesses do not count against it, nor those of neighbours.

Nothing here knows which accounts there are: unknown ones count like all others.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from django.conf import settings
from redis.exceptions import WatchError

from cinema.cache import shared
from cinema.throttling.counters import hidden_name
from cinema.throttling.limits import TooManyAttempts, TooManyRequests, account_of

T = TypeVar("T")

#: For so long it is remembered from where an account was signed in.
KNOWN_S = 30 * 24 * 3600


@dataclass(frozen=True)
class _Failures:
    """Wrong passwords in a row.

    Attributes:
        last_at: Of the last one, in seconds since 1970.
    """

    count: int = 0
    last_at: float = 0.0

    @classmethod
    def unpack(cls, packed: bytes | None, now: float) -> _Failures:
        count, _, last_at = (packed or b"0:0").partition(b":")
        # A time in the future, from before the clock was set back, would prolong the pause.
        found = cls(int(count), min(float(last_at), now))
        return found if now - found.last_at < settings.LOCKOUT_FORGET_S else cls()

    def pack(self) -> tuple[bytes, int] | None:
        if not self.count:
            return None
        return f"{self.count}:{self.last_at!r}".encode(), settings.LOCKOUT_FORGET_S

    def wait_s(self, now: float) -> float:
        """Until the next password is looked at; negative or zero if it is now."""
        beyond = self.count - settings.LOCKOUT_ATTEMPTS
        if beyond < 0:
            return 0.0
        # More doublings than that would make no number of seconds.
        pause_s: int = settings.LOCKOUT_FIRST_PAUSE_S * 2 ** min(beyond, 60)
        return self.last_at + min(pause_s, settings.LOCKOUT_LONGEST_PAUSE_S) - now

    def one_more(self, now: float) -> _Failures:
        return _Failures(self.count + 1, now)


@dataclass(frozen=True)
class _Attempt:
    """A password that is looked at, and counted as wrong until it turns out to be right.

    Attributes:
        judged: The name under which it counts: of the account, or of the pair.
        before: What stood there.
        at: When it was counted.
    """

    judged: str
    before: _Failures
    at: float


@dataclass(frozen=True)
class _Names:
    account: str
    address: str
    pair: str
    known: str

    @classmethod
    def of(cls, account: str, address: str) -> _Names:
        account = account_of(account)
        return cls(
            hidden_name("account", account),
            hidden_name("address", address),
            hidden_name("pair", account, address),
            hidden_name("known", account, address),
        )


def check_sign_in(check: Callable[[], T], *, account: str, address: str) -> T:
    """What `check` finds about somebody who wants to sign in; what is false is a wrong password.

    Args:
        check: Looks at the password. What it raises passes through, and counts for nothing.
        account: The e-mail address, of an account or of none.
        address: As `client_address` has it.

    Raises:
        TooManyAttempts: `check` was not called.
    """
    names = _Names.of(account, address)
    attempt = _begin(names)
    if found := _look(check, attempt):
        _remember(names)
    elif attempt.judged == names.account:
        _count(names.address)
    return found


def check_confirmation(check: Callable[[], T], *, viewer_id: int) -> T:
    """The same of somebody who holds the viewer's token, and is asked for the password again.

    Only such attempts count here, from wherever: nobody else can make the viewer wait.
    """
    name = hidden_name("viewer", str(viewer_id))
    now = time.time()
    attempt = compare_and_set(
        [name], lambda found: _charge(name, _Failures.unpack(found[0], now), now)
    )
    if found := _look(check, attempt):
        compare_and_set([name], lambda _: ({name: None}, None))
    return found


def trust_address(*, account: str, address: str) -> None:
    """The viewer was there: has shown it by other means than the password, such as a mail."""
    _remember(_Names.of(account, address))


def _begin(names: _Names) -> _Attempt:
    now = time.time()

    def decide(found: list[bytes | None]) -> tuple[Writes, _Attempt]:
        known, *rest = found
        pair, account, address = (_Failures.unpack(packed, now) for packed in rest)
        if known:
            return _charge(names.pair, pair, now)
        if (wait_s := address.wait_s(now)) > max(0, account.wait_s(now)):
            raise TooManyAttempts(wait_s)
        return _charge(names.account, account, now)

    return compare_and_set([names.known, names.pair, names.account, names.address], decide)


def _charge(name: str, standing: _Failures, now: float) -> tuple[Writes, _Attempt]:
    """Count it before it is looked at, or a thousand at once would all be within the limit."""
    if (wait_s := standing.wait_s(now)) > 0:
        raise TooManyAttempts(wait_s)
    return {name: standing.one_more(now).pack()}, _Attempt(name, standing, now)


def _look(check: Callable[[], T], attempt: _Attempt) -> T:
    try:
        found = check()
    except BaseException:
        _take_back(attempt)
        raise
    if found:
        _take_back(attempt)
    return found


def _count(name: str) -> None:
    now = time.time()

    def decide(found: list[bytes | None]) -> tuple[Writes, None]:
        return {name: _Failures.unpack(found[0], now).one_more(now).pack()}, None

    compare_and_set([name], decide)


def _take_back(attempt: _Attempt) -> None:
    """It was not wrong. What others have failed meanwhile stays."""
    now = time.time()

    def decide(found: list[bytes | None]) -> tuple[Writes, None]:
        standing = _Failures.unpack(found[0], now)
        last_at = attempt.before.last_at if standing.last_at == attempt.at else standing.last_at
        return {attempt.judged: _Failures(max(0, standing.count - 1), last_at).pack()}, None

    compare_and_set([attempt.judged], decide)


def _remember(names: _Names) -> None:
    """Who has shown to be the viewer begins anew here. Elsewhere, guesses are counted on."""
    compare_and_set(
        [names.known], lambda _: ({names.known: (b"1", KNOWN_S), names.pair: None}, None)
    )


Result = TypeVar("Result")
Server: TypeAlias = Any
#: What stands under a name, and for how many seconds it is kept; None deletes it.
Writes: TypeAlias = Mapping[str, tuple[bytes, int] | None]
#: From what stands under the names to what is written, and what the step returns.
Decision: TypeAlias = Callable[[list[bytes | None]], tuple[Writes, Result]]

#: So often somebody else may come in between. With fewer threads than that it always succeeds.
ATTEMPTS = 100
#: Names that a process remembers while the cache is away.
VALUES_CAPACITY = 20_000


@dataclass
class LocalValues:
    """The same of this process alone. Beyond the capacity the oldest is forgotten."""

    capacity: int = VALUES_CAPACITY
    _values: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, names: Sequence[str], decide: Decision[Result]) -> Result:
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


local_values = LocalValues()


def compare_and_set(names: Sequence[str], decide: Decision[Result]) -> Result:
    """Read what stands under the names, and write what `decide` makes of it.

    Args:
        decide: May be called more than once. What it raises passes through, and nothing is
            written.
    """
    done = shared().ask(lambda server: [_compare_and_set_on(server, names, decide)])
    return done[0] if done else local_values.step(names, decide)


def _compare_and_set_on(server: Server, names: Sequence[str], decide: Decision[Result]) -> Result:
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
