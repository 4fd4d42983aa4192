"""Viewers who go on while hosts are lost, and know which of their ratings were acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: A viewer gives up on a request after this time.
PATIENCE_S = 10
THINK_S = 0.5
#: Access tokens are valid for 15 minutes. Viewers sign in again before.
SIGNED_IN_S = 600
PASSWORD = "cleo from 5 to 7"  # noqa: S105
Rating = tuple[int, int]


@dataclass
class Phase:
    """The answers and errors that viewers got between two moments.

    Attributes:
        answered_at: Monotonic seconds.
    """

    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)

    def longest_gap_s(self) -> float:
        """The longest time in which no viewer had an answer."""
        pairs = zip(self.answered_at, self.answered_at[1:], strict=False)
        return max((later - earlier for earlier, later in pairs), default=0.0)


class Viewers:
    def __init__(self, balancers: Sequence[str], count: int) -> None:
        self._balancers = balancers
        self._lock = threading.Lock()
        self._is_open = True
        self.phase = Phase()
        self.writes = 0
        #: Half stars by viewer and film: the last acknowledged one, and those sent after it whose
        #: answer did not come. Any of them may be stored.
        self.acknowledged: dict[Rating, int] = {}
        self._unknown: dict[Rating, set[int]] = {}
        self._threads = [
            threading.Thread(target=self._visit, args=(number,), daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_open = False
        for thread in self._threads:
            thread.join()

    def next_phase(self) -> Phase:
        """Begin a phase; returns the one before."""
        with self._lock:
            before, self.phase = self.phase, Phase()
        return before

    def lost(self, read: Callable[[], dict[Rating, int]]) -> set[Rating]:
        """Acknowledged ratings that the database does not have, also when it is read again.

        A rating that is acknowledged during the first reading is not in it.
        """
        missing = self._missing(read())
        if missing:
            time.sleep(1)
            missing &= self._missing(read())
        return missing

    def _missing(self, stored: dict[Rating, int]) -> set[Rating]:
        with self._lock:
            return {
                key
                for key, half_stars in self.acknowledged.items()
                if stored.get(key) not in {half_stars, *self._unknown.get(key, ())}
            }

    def _visit(self, number: int) -> None:
        luck = random.Random(number)
        token, user_id, films = self._arrive(number)
        signed_in_at = time.monotonic()
        while self._is_open:
            if time.monotonic() - signed_in_at > SIGNED_IN_S:
                token, user_id, films = self._arrive(number)
                signed_in_at = time.monotonic()
            time.sleep(THINK_S * luck.uniform(0.5, 1.5))
            kind = luck.choice(("programme", "list", "rate", "rate", "ratings"))
            if kind == "rate":
                self._rate((user_id, luck.choice(films)), luck.randint(1, 10), token)
            else:
                paths = {"programme": "/programme", "ratings": "/users/me/ratings",
                         "list": "/recommendations?limit=5"}  # fmt: skip
                self._note(self._ask("GET", paths[kind], token=token)[0], 200)

    def _rate(self, key: Rating, half_stars: int, token: str) -> None:
        with self._lock:
            self._unknown.setdefault(key, set()).add(half_stars)
        status, _ = self._ask(
            "PUT", f"/movies/{key[1]}/rating", {"stars": half_stars / 2}, token=token
        )
        if self._note(status, 200):
            with self._lock:
                self.writes += 1
                self.acknowledged[key] = half_stars
                self._unknown[key].clear()

    def _arrive(self, number: int) -> tuple[str, int, list[int]]:
        sign_in = {"email": f"viewer{number}@example.org", "password": PASSWORD}
        while True:
            self._ask("POST", "/auth/register", sign_in)
            status, tokens = self._ask("POST", "/auth/login", sign_in)
            if status == 200:
                token = tokens["access"]
                _, me = self._ask("GET", "/users/me", token=token)
                status, films = self._ask("GET", "/movies?per_page=50", token=token)
                if status == 200 and me:
                    return token, me["id"], [film["id"] for film in films["data"]][number::3]
            time.sleep(1)

    def _note(self, status: str | int, expected: int) -> bool:
        with self._lock:
            now = time.monotonic()
            if status == expected:
                self.phase.answers += 1
                self.phase.answered_at.append(now)
            else:
                self.phase.errors[str(status)] += 1
                self.phase.failed_at.append(now)
        return status == expected

    def _ask(
        self, method: str, path: str, payload: Any = None, *, token: str = ""
    ) -> tuple[str | int, Any]:
        """Ask one load balancer, and the other one if the first cannot be reached."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        status: str | int = ""
        for balancer in random.sample(self._balancers, k=len(self._balancers)):
            connection = http.client.HTTPConnection(balancer, 80, timeout=1)
            try:
                connection.connect()
            except OSError as error:
                status = f"no balancer: {type(error).__name__}"
                continue
            try:
                assert connection.sock
                connection.sock.settimeout(PATIENCE_S)
                body = json.dumps(payload) if payload else None
                connection.request(method, f"/api/v1{path}", body, headers)
                answer = connection.getresponse()
                found = answer.read()
                return answer.status, json.loads(found) if answer.status < 300 and found else None
            except (OSError, http.client.HTTPException) as error:
                return type(error).__name__, None  # it may have been carried out: not again
            finally:
                connection.close()
        return status, None
