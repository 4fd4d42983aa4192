"""Matches as a viewer may see them. Both viewers must be active, and the other one visible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import QuerySet
from numpy.typing import NDArray

from cinema import replicas
from cinema.database import prepared_cursor
from recommendations.dataset import Evidence, latest_verdicts, weight_table
from recommendations.engine.viewer_similarity import PairSums
from recommendations.matches.neighbours import current_measure
from recommendations.models import Neighbour

#: The most viewers that are considered: with the latest interactions of a movie, and in all.
LATEST, MAX_CONSIDERED = 50, 20
#: The most matches, and the most other neighbours, that are looked up for the movies of a list.
MAX_NEIGHBOURS = 20
#: The most matches that are named for a movie.
NAMED = 3
CONDITION = "if you like it"

#: Plain SQL, as the ORM took three times as long for each interaction. The time is compared last,
#: or Postgres might read all interactions of all movies since the training.
UNMATCHED = """
SELECT asked.id, name FROM (
    SELECT unnest(%(likely)s::bigint[]) AS id
    UNION
    SELECT user_id FROM (
        SELECT user_id, updated_at FROM recommendations_interaction
        WHERE movie_id = %(movie)s ORDER BY updated_at DESC LIMIT %(latest)s
    ) AS latest WHERE updated_at > %(since)s
) AS asked
JOIN users_user ON users_user.id = asked.id AND is_active
JOIN users_preferences ON users_preferences.user_id = asked.id AND match_visible
WHERE asked.id <> %(user)s AND NOT EXISTS (
    SELECT FROM recommendations_neighbour AS neighbour
    WHERE neighbour.user_id = %(user)s AND other_id = asked.id AND matched_since IS NOT NULL
)
"""

#: Prepared, as Postgres took longer to plan it than to answer.
VISIBLE = """
SELECT other_id, name, similarity, shared, product_sum, own_square_sum, other_square_sum,
       matched_since IS NOT NULL
FROM recommendations_neighbour
JOIN users_user ON users_user.id = other_id AND is_active
JOIN users_preferences ON users_preferences.user_id = other_id AND match_visible
WHERE recommendations_neighbour.user_id = %(user)s
"""
NEIGHBOURS = f"""
({VISIBLE} AND matched_since IS NOT NULL AND similarity >= %(threshold)s
 ORDER BY similarity DESC, other_id LIMIT %(limit)s)
UNION ALL
({VISIBLE} AND matched_since IS NULL ORDER BY similarity DESC, other_id LIMIT %(limit)s)
"""
#: Prepared too: with the values in it, Postgres read the whole histories of all neighbours.
EVIDENCE = """
SELECT user_id, movie_id, kind, half_stars, (extract(epoch FROM updated_at) * 1000000)::bigint
FROM recommendations_evidence WHERE user_id = ANY(%s::bigint[]) AND movie_id = ANY(%s::bigint[])
"""


@dataclass(frozen=True)
class Match:
    """Another viewer of similar taste."""

    id: int
    name: str
    similarity: float


def matches_of(user_id: int, limit: int) -> QuerySet[Neighbour]:
    """The viewer's visible matches, the most similar first.

    The primary is asked: a replica that lags would name a viewer who has withdrawn consent.
    """
    matched = Neighbour.objects.using(DEFAULT_DB_ALIAS).filter(
        other__is_active=True,
        other__preferences__match_visible=True,
        user_id=user_id,
        matched_since__isnull=False,
        similarity__gte=settings.MATCH_THRESHOLD,
    )
    return matched.select_related("other").order_by("-similarity", "other_id")[:limit]


def unmatched(
    user_id: int, *, likely: Sequence[int], movie_id: int, since: datetime
) -> dict[int, str]:
    """Ids and names of visible viewers who do not match the viewer yet.

    Args:
        likely: Viewers near by the release, the most similar first.
        since: Viewers with an interaction of the movie since then may be near too, and come last.
    """
    parameters: dict[str, Any] = {
        "user": user_id,
        "likely": list(likely),
        "movie": movie_id,
        "since": since,
        "latest": LATEST,
    }
    with connection.cursor() as cursor:
        cursor.execute(UNMATCHED, parameters)
        names = dict(cursor.fetchall())
    order = {pk: index for index, pk in enumerate(likely)}
    nearest = sorted(names, key=lambda pk: (order.get(pk, len(order)), pk))
    return {pk: names[pk] for pk in nearest[:MAX_CONSIDERED]}


@dataclass(frozen=True)
class PotentialMatch:
    """A viewer who would become a match; `confidence` is the similarity they would have."""

    user_id: int
    condition: str
    confidence: float


@dataclass(frozen=True)
class MovieMatches:
    """Matches by movie; `users.preferences.VISIBILITY_KEY` outdates a kept answer that has them."""

    matched: Mapping[int, Sequence[Match]] = field(default_factory=dict)
    potential: Mapping[int, Sequence[PotentialMatch]] = field(default_factory=dict)

    def matched_users(self, movie_id: int) -> Sequence[Match]:
        return self.matched.get(movie_id, ())

    def potential_matches(self, movie_id: int) -> Sequence[PotentialMatch]:
        return self.potential.get(movie_id, ())


def matches_for_movies(user_id: int, movie_ids: Sequence[int]) -> MovieMatches:
    """The matches who like these movies, and viewers who would match; the viewer has rated none."""
    neighbours = _neighbours(user_id) if movie_ids else []
    if not neighbours:
        return MovieMatches()
    verdicts = _verdicts(neighbours, movie_ids)
    return MovieMatches(_matched(verdicts), _potential(verdicts))


class _Neighbour(NamedTuple):
    id: int
    name: str
    similarity: float
    shared: int
    products: float
    own_squares: float
    other_squares: float
    is_match: bool


@dataclass(frozen=True, eq=False)
class _Verdicts:
    """The latest verdicts of neighbours on movies.

    Attributes:
        rows: (n,) indices of `neighbours`.
        movie_ids: (n,) int64.
        weights: (n,) float32.
    """

    neighbours: Sequence[_Neighbour]
    rows: NDArray[np.intp]
    movie_ids: NDArray[np.int64]
    weights: NDArray[np.float32]


def _neighbours(user_id: int) -> list[_Neighbour]:
    """The nearest visible matches, and the nearest other neighbours."""
    parameters = {
        "user": user_id,
        "threshold": settings.MATCH_THRESHOLD,
        "limit": MAX_NEIGHBOURS,
    }
    # The primary is asked, as in `matches_of`: the answer is then kept under VISIBILITY_KEY.
    with prepared_cursor() as cursor:
        cursor.execute(NEIGHBOURS, parameters)
        return [_Neighbour._make(row) for row in cursor.fetchall()]


def _verdicts(neighbours: Sequence[_Neighbour], movie_ids: Sequence[int]) -> _Verdicts:
    ids = np.array([each.id for each in neighbours])
    with prepared_cursor(replicas.alias()) as cursor:
        cursor.execute(EVIDENCE, [ids.tolist(), list(movie_ids)])
        found = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 5)
    users, movies, kinds, half_stars, microseconds = found.T
    pairs = users * (movies.max(initial=0) + 1) + movies
    last = latest_verdicts(pairs, kinds, microseconds / 1e6)
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, users[last], sorter=order)]
    weights = weight_table()[kinds[last], half_stars[last]]
    return _Verdicts(neighbours, rows, movies[last], weights)


def _matched(verdicts: _Verdicts) -> dict[int, list[Match]]:
    """The matches whose verdict says more than that they have seen the movie, the nearest first."""
    found: dict[int, list[Match]] = defaultdict(list)
    liked = verdicts.weights > weight_table()[Evidence.SEEN, 0]
    movie_ids = verdicts.movie_ids[liked].tolist()
    for row, movie_id in sorted(zip(verdicts.rows[liked].tolist(), movie_ids, strict=True)):
        match = verdicts.neighbours[row]
        if match.is_match and len(found[movie_id]) < NAMED:
            found[movie_id].append(Match(match.id, match.name, match.similarity))
    return found


def _potential(verdicts: _Verdicts) -> dict[int, list[PotentialMatch]]:
    """The viewers whose similarity would reach the threshold if the viewer liked the movie."""
    measure = current_measure()
    is_other = np.array([not each.is_match for each in verdicts.neighbours])[verdicts.rows]
    if measure is None or not is_other.any():
        return {}
    rows, movie_ids = verdicts.rows[is_other], verdicts.movie_ids[is_other]
    stored = [(n.shared, n.products, n.own_squares, n.other_squares) for n in verdicts.neighbours]
    centres = measure.centres_of(movie_ids)
    theirs = verdicts.weights[is_other] - centres
    like = weight_table()[Evidence.LIKE, 0] - centres
    sums = PairSums(*np.array(stored)[rows].T).with_one_more(like, theirs)
    similarity = measure.rule.similarity(sums)
    nearest = np.argsort(-similarity, kind="stable")
    nearest = nearest[similarity[nearest] >= measure.rule.threshold]
    found: dict[int, list[PotentialMatch]] = defaultdict(list)
    for index in nearest.tolist():
        other, movie_id = verdicts.neighbours[rows[index]], int(movie_ids[index])
        if len(found[movie_id]) < NAMED:
            found[movie_id].append(PotentialMatch(other.id, CONDITION, float(similarity[index])))
    return found
