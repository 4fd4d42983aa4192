"""Detects children that hang: they run and do no work.

All limits count looks, not seconds. There are fewer looks, and so no restart, on a machine that is
too busy to answer in time, or after the supervisor itself was suspended.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from cinema.development.embedded_servers import Servers
from cinema.development.processes import Child

LOOK_EVERY_S = 10.0
ANSWER_WITHIN_S = 10.0
#: The number of looks that must fail, and among how many, by child. Each process of the web takes
#: connections for itself: while one hangs, about every second look fails. A worker may be busy for
#: a while, and beat shows a sign of life every three minutes.
LOOKS: Mapping[str, tuple[int, int]] = {
    "web": (6, 15),
    "worker": (18, 18),
    "beat": (60, 60),
    "postgres": (6, 6),
    "valkey": (6, 6),
}
#: For a child that has not answered since it was started: on a busy machine that takes minutes.
LOOKS_AT_START = 30
MOST_LOOKS = max(LOOKS_AT_START, *(among for _, among in LOOKS.values()))


def ask_health(address: str) -> dict[str, Any] | None:
    """The document of `/health/ready`, of any status. None if the web does not answer.

    An answer of another kind is an empty dictionary.
    """
    # A name that the web answers to; the address may not be one.
    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{address}/health/ready", headers={"Host": host}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    except OSError:
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass
class _Record:
    """The looks at one process. A child that is started again has a new record."""

    pid: int
    has_answered: bool = False
    looks: deque[bool] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))


class HangDetector:
    """Looks at the children from time to time, and counts the looks without an answer."""

    def __init__(
        self, address: str, children: Sequence[Child], servers: Servers, *, every_s: float
    ) -> None:
        self._address = address
        self._children = children
        self._servers = servers
        self._every_s = every_s
        self._looked_at = time.monotonic()
        self._records: dict[str, _Record] = {}
        self._beat_wrote_at: set[tuple[str, int]] = set()

    def hung(self) -> list[Child]:
        """The children to kill. Empty unless it is time for a look."""
        if time.monotonic() - self._looked_at < self._every_s:
            return []
        signs = self._signs_of_life()
        self._looked_at = time.monotonic()
        children = [*self._servers.children, *self._children]
        return [child for child in children if self._is_hung(child, signs.get(child.name))]

    def _is_hung(self, child: Child, is_alive: bool | None) -> bool:
        record = self._records.get(child.name)
        if record is None or record.pid != child.pid:
            record = self._records[child.name] = _Record(child.pid)
        if is_alive is None or not child.is_running():
            return False
        record.has_answered |= is_alive
        record.looks.append(is_alive)
        failures, among = LOOKS[child.name]
        if not record.has_answered:
            failures = among = max(failures, LOOKS_AT_START)
        return list(record.looks)[-among:].count(False) >= failures

    def _signs_of_life(self) -> dict[str, bool | None]:
        """Whether each child answers. None: unknown, such as a worker while the broker is away."""
        signs: dict[str, bool | None] = {
            server.name: self._servers.answers(server) for server in self._servers.children
        }
        health = ask_health(self._address)
        components = (health or {}).get("components", {})
        state = {name: found.get("state") for name, found in components.items()}
        is_broker_there = state.get("broker") == "ok"
        return signs | {
            "web": health is not None,
            "worker": state.get("workers") == "ok" if is_broker_there else None,
            "beat": self._has_beat_written(),
        }

    def _has_beat_written(self) -> bool:
        """Whether beat has saved its schedule since the last look."""
        schedule = Path(settings.CELERY_BEAT_SCHEDULE_FILENAME)
        written = {
            (file.name, file.stat().st_mtime_ns)
            for file in schedule.parent.glob(f"{schedule.name}*")
            if file.exists()
        }
        before, self._beat_wrote_at = self._beat_wrote_at, written
        return written != before
