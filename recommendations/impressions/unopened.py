"""Which films viewers were shown in vain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db import connection
from django.utils import timezone

#: By viewer and film, in how many lists it stood.
TimesShown = Mapping[int, Mapping[int, int]]

#: What lies further back is forgiven.
REMEMBERED_FOR = timedelta(days=14)
#: Of each viewer so many are read, the latest: fifty lists.
AT_MOST = 1000

# Where the latest begin is read off the index: a limit alone would have all rows sorted.
QUERY = """
SELECT shown.user_id, shown.movie_id, count(*)
FROM unnest(%(user_ids)s::bigint[]) AS viewer (id)
JOIN recommendations_impression AS shown ON shown.user_id = viewer.id
  AND shown.shown_at >= %(since)s AND shown.shown_at >= coalesce(
    (
        SELECT shown_at FROM recommendations_impression
        WHERE user_id = viewer.id ORDER BY shown_at DESC OFFSET %(at_most)s - 1 LIMIT 1
    ),
    '-infinity'
  )
GROUP BY shown.user_id, shown.movie_id HAVING count(shown.clicked_at) = 0
"""


def shown_unopened(user_ids: Sequence[int]) -> TimesShown:
    """The films that stood in each viewer's lists of late and were never opened, in one query."""
    since = timezone.now() - REMEMBERED_FOR
    found: dict[int, dict[int, int]] = {user_id: {} for user_id in user_ids}
    with connection.cursor() as cursor:
        cursor.execute(QUERY, {"user_ids": list(user_ids), "since": since, "at_most": AT_MOST})
        for user_id, movie_id, times in cursor.fetchall():
            found[user_id][movie_id] = times
    return found
