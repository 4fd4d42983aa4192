"""Counts of what happens in any process, kept by Valkey: tasks, TMDb calls, imported rows.

Workers run on machines and in containers of their own, where Prometheus reaches no port of theirs.
Each event takes far longer than its count. An event is counted as it ends, so a killed process
loses none. While Valkey is away a process holds its counts. It sends them with its next event or
scrape.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from cinema.cache import shared

KEY = "metrics:totals"
KEPT_S = 400 * 86_400
_SEPARATOR = "|"


class Totals:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def add(self, amounts: Mapping[tuple[str, ...], int]) -> None:
        """Add to counters: the name of each and its labels."""
        with self._lock:
            self._held.update({_SEPARATOR.join(name): n for name, n in amounts.items() if n})
            counts, self._held = self._held, Counter()
        if counts and not shared().increase(KEY, counts, KEPT_S):
            with self._lock:
                self._held += counts


totals = Totals()


def count_rows(kind: str, outcomes: Mapping[str, int]) -> None:
    """Count the rows of an imported file."""
    totals.add({("imports", kind, outcome): n for outcome, n in outcomes.items()})


def read_totals() -> dict[tuple[str, ...], int] | None:
    """All counters; None while Valkey is away."""
    totals.add({})  # a web process may have no further event for days
    found = shared().counters(KEY)
    if found is None:
        return None
    return {tuple(name.split(_SEPARATOR)): amount for name, amount in found.items()}
