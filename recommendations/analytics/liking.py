"""What counts as a like of a film that was shown.

Something good that the viewer said of the film, or did with it here, within a week after it was
shown, and no bad word of it later. To have seen it is neither: many say so of what they knew
before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from recommendations.weighing import HALF_STARS, Evidence, weight_table

LIKED_WITHIN = timedelta(days=7)

# The tables of `recommendations_evidence`: the view puts viewings together before it looks at
# their times.
SAID = f"""
SELECT user_id, movie_id, kind * {HALF_STARS} + half_stars AS code, updated_at AS said_at
FROM recommendations_interaction
WHERE updated_at > %(since)s AND updated_at <= %(said_until)s
UNION ALL
SELECT user_id, movie_id, {Evidence.FAVOURITE * HALF_STARS}, created_at
FROM users_favourite WHERE created_at > %(since)s AND created_at <= %(said_until)s
UNION ALL
SELECT user_id, movie_id, {Evidence.CHECK_IN * HALF_STARS}, watched_at
FROM users_viewing
WHERE checked_in AND watched_at > %(since)s AND watched_at <= %(said_until)s
"""  # noqa: S608 - our own names

#: The impressions that a like came of: for each viewer and film the last one before it. To be
#: filled in: what is told apart beside them, and which impressions.
LIKED = f"""
SELECT DISTINCT ON ({{each}} shown.user_id, shown.movie_id) shown.*
FROM ({SAID}) AS said
JOIN recommendations_impression AS shown USING (user_id, movie_id)
WHERE code = ANY (%(good)s) AND {{where}}
  AND said_at > shown_at AND said_at <= shown_at + %(within)s
  AND NOT EXISTS (
    SELECT FROM recommendations_interaction AS later
    WHERE later.user_id = shown.user_id AND later.movie_id = shown.movie_id
      AND later.updated_at > said_at AND kind * {HALF_STARS} + half_stars = ANY (%(bad)s)
  )
ORDER BY {{each}} shown.user_id, shown.movie_id, shown_at DESC, shown.id
"""  # noqa: S608 - our own names


def liking(since: datetime, until: datetime) -> dict[str, Any]:
    """The parameters for what was shown from `since` on and before `until`."""
    weights = weight_table().copy()
    weights[Evidence.SEEN] = 0
    return {
        "since": since,
        "said_until": until + LIKED_WITHIN,
        "within": LIKED_WITHIN,
        "good": np.flatnonzero(weights > 0).tolist(),
        "bad": np.flatnonzero(weights < 0).tolist(),
    }
