"""Viewers held against each other: by a release, or by all that they have said up to now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from recommendations.data import History
from recommendations.engine.matching import Deviations, Rule, Sums
from recommendations.loading import LoadedRelease, current_release

#: Of each viewer's that are kept; those go first who agreed to be seen.
MOST_NEIGHBOURS = 100

Floats = NDArray[np.floating]


def current_rule() -> Rule:
    return Rule(settings.MATCH_THRESHOLD, settings.MATCH_SHRINKAGE)


@dataclass(frozen=True, eq=False)
class Measure:
    """By what the films of a release are centred."""

    release: LoadedRelease
    deviations: Deviations
    rule: Rule

    def deviations_of(self, history: History) -> Floats:
        """(n,) of each film of the history."""
        return history.weights - self.centres_of(history.movie_ids)

    def centres_of(self, movie_ids: NDArray[np.int64]) -> Floats:
        return self.deviations.centres_of(self.release.items.indices(movie_ids))

    def roughly(
        self, mine: History, *, sharing: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The ids of all who share enough films with a viewer, and their similarities.

        What the others have said since the training is not in it.

        Args:
            sharing: The id of a film: only those who have said something of it.
        """
        [item] = [None] if sharing is None else self.release.items.indices([sharing]).tolist()
        if item == -1:
            return np.empty(0, dtype=np.int64), np.empty(0)
        items = self.release.items.indices(mine.movie_ids)
        known = items >= 0
        rows, sums = self.deviations.against_all(
            items[known],
            self.deviations_of(mine)[known],
            least_shared=self.rule.least_shared,
            sharing=item,
        )
        return self.release.users.ids[rows], self.rule.similarity(sums)

    def exactly(self, mine: History, others: Sequence[History]) -> Sums:
        """The sums of a viewer with each of the others."""
        own = self.deviations_of(mine)
        found = np.zeros((4, len(others)))
        for place, theirs in enumerate(others):
            _, at, there = np.intersect1d(
                mine.movie_ids, theirs.movie_ids, assume_unique=True, return_indices=True
            )
            a, b = own[at].astype(np.float64), self.deviations_of(theirs)[there].astype(np.float64)
            found[:, place] = len(at), a @ b, a @ a, b @ b
        return Sums(*found)


def current_measure() -> Measure | None:
    """None while there is no release, or only one of the time before matches."""
    release = current_release()
    if release.deviations is None:
        return None
    return Measure(release, release.deviations, current_rule())
