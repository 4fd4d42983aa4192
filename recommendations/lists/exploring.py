"""Which films are new here, and whose turn it is to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.engine.exploring import drawn_order
from recommendations.engine.ids import IdMap, values_at
from recommendations.engine.protocol import Scores
from recommendations.lists.candidates import Films
from recommendations.lists.traits import traits_of
from recommendations.loading import LoadedRelease

EXPLORATION = "exploration"

#: A film is new for so long after it was posted, and after it starts.
NEW_FOR = timedelta(days=90)
#: What so many viewers have said something of needs no place by itself.
ENOUGH_VIEWERS = 5
#: After an import all films are new. The latest ones are then enough.
AT_MOST = 1000

# The last column ends counting early: some films have a hundred thousand interactions.
QUERY = """
SELECT id, ranking FROM movies_movie
WHERE withdrawn_at IS NULL AND (created_at >= %(since)s OR start_date >= %(since_day)s)
  AND %(enough)s > (
    SELECT count(*) FROM (
        SELECT FROM recommendations_interaction WHERE movie_id = movies_movie.id LIMIT %(enough)s
    ) AS first_ones
  )
ORDER BY created_at DESC, id DESC LIMIT %(at_most)s
"""


@lru_cache(maxsize=2)
def _new_films(snapshot: Snapshot, release: LoadedRelease) -> tuple[IdMap, NDArray[np.float32]]:
    """Published films that few have said anything of, and their rankings, (n_new,).

    Read once for a version of the catalogue and a release: whoever acts on one leaves it new for a
    while.
    """
    since = timezone.now() - NEW_FOR
    asked = {"since": since, "since_day": timezone.localdate(since)}
    with connection.cursor() as cursor:
        cursor.execute(QUERY, {**asked, "enough": ENOUGH_VIEWERS, "at_most": AT_MOST})
        rows = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 2)
    ids, rankings = rows[np.argsort(rows[:, 0])].T
    return IdMap(ids), rankings.astype(np.float32)


def turns(
    user_id: int,
    films: Films,
    allowed: NDArray[np.bool_],
    opinions: Sequence[Scores],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> list[int]:
    """The new ones among the films, in the order in which it is their turn with this viewer today.

    First come those that the release does not know: nothing is learned of them otherwise. Then
    it goes by the first of the opinions that says something, and last by ranking.

    Args:
        allowed: (n_films,) what may be listed.
        opinions: (n_films,) each, the most trusted first.
    """
    new_films, rankings = _new_films(snapshot, release)
    places = new_films.indices(films.ids)
    new = np.flatnonzero(allowed & (places >= 0))
    if not len(new):
        return []
    trust = np.full(len(new), len(opinions))
    scores = values_at(places[new], rankings)
    for number, said in reversed(list(enumerate(opinions))):
        known = ~np.isnan(said[new])
        trust[known], scores[known] = number, said[new][known]
    best_first = new[np.lexsort((-scores, trust, films.items[new] >= 0))]
    rng = np.random.default_rng([user_id, timezone.localdate().toordinal()])
    turn: list[int] = best_first[drawn_order(len(new), rng)].tolist()
    return turn


def is_new(place: int, films: Films, snapshot: Snapshot, release: LoadedRelease) -> bool:
    """Whether that may be said of a film of which nobody else says anything: it has come since the
    training, or it starts in these months. Without both it may stand here untouched for years."""
    if release.id is not None and films.items[place] < 0:
        return True
    traits = traits_of(snapshot)
    [row] = traits.films.indices(films.ids[[place]])
    since = timezone.localdate() - NEW_FOR
    return bool(traits.starts[row] >= since.toordinal())
