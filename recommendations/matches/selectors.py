"""Whom a viewer may be told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from recommendations.engine.viewer_similarity import PairSums
from recommendations.interaction_weights import Evidence, latest_verdicts, weight_table
from recommendations.matches.neighbours import current_measure
from recommendations.models import Neighbour

#: So many who have spoken of a film last are looked at, and so many in all.
FRESH, LOOKED_AT = 50, 20

#: Each request asks it that says something new: the ORM took three times as long. The time of a
#: word is looked at last, or Postgres might read all that was said of any film since the training.
UNMATCHED = """
SELECT asked.id, name FROM (
    SELECT unnest(%(likely)s::bigint[]) AS id
    UNION
    SELECT user_id FROM (
        SELECT user_id, updated_at FROM recommendations_interaction
        WHERE movie_id = %(movie)s ORDER BY updated_at DESC LIMIT %(fresh)s
    ) AS latest WHERE updated_at > %(since)s
) AS asked
JOIN users_user ON users_user.id = asked.id AND is_active
JOIN users_preferences ON users_preferences.user_id = asked.id AND match_visible
WHERE asked.id <> %(user)s AND NOT EXISTS (
    SELECT FROM recommendations_neighbour AS neighbour
    WHERE neighbour.user_id = %(user)s AND other_id = asked.id AND matched_since IS NOT NULL
)
"""

#: Those only whom a viewer may be told of, whatever is known of them.
VISIBLE_OTHER = Q(other__is_active=True, other__preferences__match_visible=True)


@dataclass(frozen=True)
class Match:
    """Another viewer of similar taste, as a viewer is told."""

    id: int
    name: str
    similarity: float


def matches_of(user_id: int, limit: int) -> QuerySet[Neighbour]:
    """The viewer's matches who agreed to be seen, the most alike first."""
    matched = Neighbour.objects.filter(
        VISIBLE_OTHER,
        user_id=user_id,
        matched_since__isnull=False,
        similarity__gte=settings.MATCH_THRESHOLD,
    )
    return matched.select_related("other").order_by("-similarity", "other_id")[:limit]


def unmatched(
    user_id: int, *, likely: Sequence[int], movie_id: int, since: datetime
) -> dict[int, str]:
    """Ids and names of those who may be told of and do not match the viewer yet.

    Args:
        likely: Whom the release has near, the most alike first.
        since: Who has said something of the film after that may be near too, and goes last.
    """
    asked: dict[str, Any] = {
        "user": user_id,
        "likely": list(likely),
        "movie": movie_id,
        "since": since,
    }
    with connection.cursor() as cursor:
        cursor.execute(UNMATCHED, {**asked, "fresh": FRESH})
        names = dict(cursor.fetchall())
    order = {pk: place for place, pk in enumerate(likely)}
    nearest = sorted(names, key=lambda pk: (order.get(pk, len(order)), pk))
    return {pk: names[pk] for pk in nearest[:LOOKED_AT]}


#: So many matches, and so many neighbours who may become some, are asked what they said.
ASKED = 20
#: So many are told of for a film.
NAMED = 3
CONDITION = "if you like it"

#: Written out, as the ORM took longer to write it than Postgres to answer.
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
 ORDER BY similarity DESC, other_id LIMIT %(asked)s)
UNION ALL
({VISIBLE} AND matched_since IS NULL ORDER BY similarity DESC, other_id LIMIT %(asked)s)
"""
SAID = """
SELECT user_id, movie_id, kind, half_stars, (extract(epoch FROM updated_at) * 1000000)::bigint
FROM recommendations_evidence WHERE user_id = ANY(%s) AND movie_id = ANY(%s)
"""


@dataclass(frozen=True)
class PotentialMatch:
    """Who would match the viewer; `confidence` is the similarity that it would come to."""

    user_id: int
    condition: str
    confidence: float


@dataclass(frozen=True)
class MovieMatches:
    """By film. It is made for each request: whoever does not agree any more is gone at once."""

    matched: Mapping[int, Sequence[Match]] = field(default_factory=dict)
    potential: Mapping[int, Sequence[PotentialMatch]] = field(default_factory=dict)

    def matched_users(self, movie_id: int) -> Sequence[Match]:
        return self.matched.get(movie_id, ())

    def potential_matches(self, movie_id: int) -> Sequence[PotentialMatch]:
        return self.potential.get(movie_id, ())


def matches_for_movies(user_id: int, movie_ids: Sequence[int]) -> MovieMatches:
    """What there is to tell the viewer of these films, none of which the viewer has judged."""
    neighbours = _neighbours(user_id) if movie_ids else []
    if not neighbours:
        return MovieMatches()
    weights = _weights([each.id for each in neighbours], movie_ids)
    matches = [each for each in neighbours if each.is_match]
    others = [each for each in neighbours if not each.is_match]
    return MovieMatches(_matched(matches, weights), _potential(others, weights))


class _Neighbour(NamedTuple):
    id: int
    name: str
    similarity: float
    shared: int
    products: float
    own_squares: float
    other_squares: float
    is_match: bool


#: By viewer and film the weight of what counts.
Weights = Mapping[tuple[int, int], float]


def _neighbours(user_id: int) -> list[_Neighbour]:
    """Those only who agreed to be seen: the nearest matches, and the nearest others."""
    parameters = {"user": user_id, "threshold": settings.MATCH_THRESHOLD, "asked": ASKED}
    with connection.cursor() as cursor:
        cursor.execute(NEIGHBOURS, parameters)
        return [_Neighbour._make(row) for row in cursor.fetchall()]


def _weights(user_ids: Sequence[int], movie_ids: Sequence[int]) -> Weights:
    with connection.cursor() as cursor:
        cursor.execute(SAID, [list(user_ids), list(movie_ids)])
        rows = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 5)
    users, movies, kinds, half_stars, microseconds = rows.T
    pairs = users * (movies.max(initial=0) + 1) + movies
    last = latest_verdicts(pairs, kinds, microseconds / 1e6)
    weights = weight_table()[kinds[last], half_stars[last]].tolist()
    keys = zip(users[last].tolist(), movies[last].tolist(), strict=True)
    return dict(zip(keys, weights, strict=True))


def _matched(matches: Sequence[_Neighbour], weights: Weights) -> dict[int, list[Match]]:
    """Who says more than to have seen it; the nearest first."""
    seen = weight_table()[Evidence.SEEN, 0]
    found: dict[int, list[Match]] = defaultdict(list)
    places = {each.id: place for place, each in enumerate(matches)}
    liked = ((places[pk], film) for (pk, film), w in weights.items() if w > seen and pk in places)
    for place, movie_id in sorted(liked):
        if len(found[movie_id]) < NAMED:
            one = matches[place]
            found[movie_id].append(Match(one.id, one.name, one.similarity))
    return found


def _potential(others: Sequence[_Neighbour], weights: Weights) -> dict[int, list[PotentialMatch]]:
    """Whose similarity would reach the threshold with one more like of the viewer."""
    places = {each.id: place for place, each in enumerate(others)}
    asked = [(places[pk], film, w) for (pk, film), w in weights.items() if pk in places]
    measure = current_measure()
    if not asked or measure is None:
        return {}
    near = [others[place] for place, *_ in asked]
    centres = measure.centres_of(np.array([film for _, film, _ in asked], dtype=np.int64))
    sums = PairSums(
        np.array([each.shared for each in near]),
        np.array([each.products for each in near]),
        np.array([each.own_squares for each in near]),
        np.array([each.other_squares for each in near]),
    )
    theirs = np.array([weight for *_, weight in asked]) - centres
    like = weight_table()[Evidence.LIKE, 0] - centres
    would_be = measure.rule.similarity(sums.with_one_more(like, theirs))
    found: dict[int, list[PotentialMatch]] = defaultdict(list)
    for at in np.argsort(-would_be, kind="stable").tolist():
        place, movie_id, _ = asked[at]
        if would_be[at] >= measure.rule.threshold and len(found[movie_id]) < NAMED:
            one = PotentialMatch(others[place].id, CONDITION, float(would_be[at]))
            found[movie_id].append(one)
    return found
