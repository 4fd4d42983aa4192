"""Whom a viewer may be told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

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
