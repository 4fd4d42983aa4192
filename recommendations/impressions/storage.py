"""Impressions in Postgres: moved there from the stream, read for fatigue, and dropped by month."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

import numpy as np
import orjson
from django.db import DataError, IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from numpy.typing import NDArray
from psycopg.errors import ForeignKeyViolation

from cinema.locks import retry_on_deadlock
from cinema.partitions import keep_months
from recommendations.engine.matrices import IdMap
from recommendations.impressions import stream
from recommendations.impressions.stream import StreamEntry
from recommendations.models.serving import Impression, impressions_kept_since

log = logging.getLogger(__name__)

#: Attempts to store impressions of a viewer who is erased at this moment.
ATTEMPTS = 3
#: A click whose impression has not come by then does not count.
CLICKS_WAIT = timedelta(hours=1)
#: The clicks of most lists come while the list is kept: `list_cache.py`.
LISTS_LIVE = timedelta(days=2)
#: The largest difference of the clocks of two web hosts.
CLOCKS_DIFFER = timedelta(days=1)

#: Postgres parses the entries. Rows of deleted viewers and movies are left out. A conflict can be
#: one of (list_id, position) alone: each month has that key, and the whole table has none.
STORE_SHOWN = """
INSERT INTO recommendations_impression (
    list_id, position, user_id, movie_id, scope, algorithm, source, is_fallback,
    release_id, experiment_id, team, shown_at
)
SELECT entry.list_id, (item->>0)::smallint, viewer.id, movie.id, entry.scope, item->>2, item->>3,
    (item->>4)::boolean, release.id, experiment.id,
    CASE WHEN experiment.id IS NULL THEN '' ELSE item->>6 END, entry.shown_at
FROM jsonb_to_recordset(%s::jsonb) AS entry (
    list_id uuid, user_id bigint, scope text, release_id bigint, shown_at timestamptz, items jsonb
)
CROSS JOIN LATERAL jsonb_array_elements(entry.items) AS item
JOIN users_user AS viewer ON viewer.id = entry.user_id
JOIN movies_movie AS movie ON movie.id = (item->>1)::bigint
LEFT JOIN recommendations_release AS release ON release.id = entry.release_id
LEFT JOIN recommendations_experiment AS experiment ON experiment.id = (item->>5)::bigint
ORDER BY entry.shown_at, entry.list_id, (item->>0)::smallint
ON CONFLICT DO NOTHING
"""

#: The earliest of several clicks counts, in whatever order they come.
STORE_CLICKS = """
UPDATE recommendations_impression AS shown
SET clicked_at = least(shown.clicked_at, entry.clicked_at)
FROM (
    SELECT list_id, user_id, movie_id, min(clicked_at) AS clicked_at
    FROM jsonb_to_recordset(%(clicks)s::jsonb) AS entry (
        list_id uuid, user_id bigint, movie_id bigint, clicked_at timestamptz
    )
    GROUP BY list_id, user_id, movie_id
) AS entry
WHERE shown.list_id = entry.list_id AND shown.user_id = entry.user_id
    AND shown.movie_id = entry.movie_id
    AND shown.shown_at >= %(since)s AND shown.shown_at < %(until)s
RETURNING shown.list_id, shown.user_id, shown.movie_id
"""


def store_waiting() -> int:
    """Move all entries into the table; returns their number.

    An entry leaves the stream after the commit. If this process dies in between, it is stored
    again, which changes nothing.
    """
    stored = 0
    for block in stream.blocks():
        early = _store(block)
        if not stream.put_back(early):
            return stored  # Valkey is away: the block stays as it is
        stream.done(block)
        stored += len(block)
    if stored >= 0.9 * stream.MAX_WAITING:
        log.warning("impressions waited for too long: %d entries, older ones are lost", stored)
    return stored


def _store(entries: Sequence[StreamEntry]) -> list[StreamEntry]:
    """Store the entries; returns the clicks that came before their impressions.

    An entry that Postgres refuses is logged and left out; the others are stored.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _write(entries)
        except (DataError, IntegrityError) as error:
            if isinstance(error.__cause__, ForeignKeyViolation) and attempt < ATTEMPTS:
                continue  # a viewer was erased meanwhile; the next attempt leaves the row out
            if len(entries) == 1:
                kind = type(error.__cause__).__name__
                log.error("an impression or click is refused: %s, %s", entries[0].id, kind)
                return []
            middle = len(entries) // 2
            return _store(entries[:middle]) + _store(entries[middle:])
    raise AssertionError("unreachable")


@retry_on_deadlock
@transaction.atomic
def _write(entries: Sequence[StreamEntry]) -> list[StreamEntry]:
    shown = [entry.text for entry in entries if entry.kind == b"shown"]
    clicks = [entry for entry in entries if entry.kind == b"clicked"]
    with connection.cursor() as cursor:
        if shown:
            cursor.execute(STORE_SHOWN, [_array(shown)])
        # Most clicks find their impression in the last days: in one month, or two.
        for since in (timezone.now() - LISTS_LIVE, impressions_kept_since()):
            if clicks:
                clicks = _store_clicks(cursor, clicks, since)
    return [click for click in clicks if _is_early(click)]


def _store_clicks(
    cursor: CursorWrapper, clicks: Sequence[StreamEntry], since: datetime
) -> list[StreamEntry]:
    """Store the clicks of what was shown since then; returns those without such an impression."""
    until = timezone.now() + CLOCKS_DIFFER
    texts = _array([click.text for click in clicks])
    cursor.execute(STORE_CLICKS, {"clicks": texts, "since": since, "until": until})
    found = {(str(list_id), *ids) for list_id, *ids in cursor.fetchall()}
    # Postgres has parsed the clicks: they are objects.
    fields = [(click, orjson.loads(click.text)) for click in clicks]
    return [
        click
        for click, each in fields
        if (each.get("list_id"), each.get("user_id"), each.get("movie_id")) not in found
    ]


def _array(texts: Sequence[bytes]) -> str:
    return str(b"[" + b",".join(texts) + b"]", "utf-8", "replace")


def _is_early(click: StreamEntry) -> bool:
    """Whether the impression of a click without one may still come."""
    try:
        clicked_at = datetime.fromisoformat(orjson.loads(click.text).get("clicked_at"))
        return clicked_at > timezone.now() - CLICKS_WAIT
    except (TypeError, ValueError):  # Postgres accepts more than we write, such as "now"
        return False


def drop_old_impressions() -> list[str]:
    """Make the coming months, and drop those older than IMPRESSIONS_KEPT_DAYS; returns them."""
    return keep_months(Impression.MONTHS, since=impressions_kept_since())


#: Older impressions cause no fatigue.
REMEMBERED_FOR = timedelta(days=14)
#: The impressions that are read of each viewer: those of the last fifty lists.
MAX_READ = 1000

#: The movies that recent lists showed to `viewer.id` and that were never opened, in the form of
#: `TimesShown.from_bytes`. The start of the latest rows comes from the index: a limit alone would
#: sort all rows. Both ends of the time are given, so that no other month is looked at.
UNOPENED = """(
    SELECT string_agg(int8send(movie_id) || int8send(times), '' ORDER BY movie_id) FROM (
        SELECT movie_id, count(*) AS times FROM recommendations_impression
        WHERE user_id = viewer.id AND shown_at >= %(since)s AND shown_at < %(until)s
        AND shown_at >= coalesce(
            (
                SELECT shown_at FROM recommendations_impression
                WHERE user_id = viewer.id AND shown_at >= %(since)s AND shown_at < %(until)s
                ORDER BY shown_at DESC OFFSET %(at_most)s - 1 LIMIT 1
            ),
            '-infinity'
        )
        GROUP BY movie_id HAVING count(clicked_at) = 0
    ) AS unopened
)"""


def unopened_parameters() -> dict[str, Any]:
    now = timezone.now()
    return {"since": now - REMEMBERED_FOR, "until": now + CLOCKS_DIFFER, "at_most": MAX_READ}


class TimesShown(NamedTuple):
    """The number of lists that showed each of some movies.

    Attributes:
        movies: The movies.
        times: (n_movies + 1,) int64; 0 in the last row, which stands for any other movie.
    """

    movies: IdMap
    times: NDArray[np.int64]

    @classmethod
    def from_bytes(cls, rows: bytes) -> Self:
        """Unpack big-endian pairs of movie id and number, by ascending id."""
        movie_ids, times = np.frombuffer(rows, dtype=">i8").astype(np.int64).reshape(-1, 2).T
        return cls(IdMap(movie_ids), np.append(times, 0))

    def of(self, movie_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the number for each movie."""
        return self.times[self.movies.indices(movie_ids)]
