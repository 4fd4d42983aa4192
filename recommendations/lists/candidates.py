"""The films that a list may be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.loading import LoadedRelease

Scope = Literal["catalogue", "programme"]


@dataclass(frozen=True, eq=False)
class Films:
    """What may be listed, by date.

    Attributes:
        ids: (n_films,) int64.
        items: (n_films,) int32, the column of each in the release; -1 for what that does not know.
    """

    ids: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def of(cls, movie_ids: Sequence[int], release: LoadedRelease) -> Films:
        ids = np.array(movie_ids, dtype=np.int64)
        return cls(ids, release.items.indices(ids))


def films_for(scope: Scope, days: int, snapshot: Snapshot, release: LoadedRelease) -> Films:
    """Of the programme what is still to be shown within the days, or else all that is published."""
    if scope == "programme":
        return Films.of(snapshot.showing(days), release)
    return _published(snapshot, release)


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> Films:
    return Films.of(snapshot.published, release)
