"""What viewers were shown and did with it, counted in sets: a few queries, however much it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from movies.models import Movie
from recommendations.analytics.liking import LIKED, liking
from recommendations.analytics.periods import Period

Row = tuple[Any, ...]

#: What is put in order or grouped beyond this spills to disk.
WORK_MEM = "64MB"

SHOWN = "shown_at >= %(since)s AND shown_at < %(until)s"
#: Which one of the time, counted from 1: in half the time that it takes to ask for a zone's date.
DAY = "width_bucket({}, %(days)s::timestamptz[])"

#: What figures there are: by day, by release, by algorithm, and in all.
SETS = "GROUPING SETS ((day, algorithm), (release_id, algorithm), (algorithm), ())"
KEYS = "GROUPING(day), GROUPING(release_id), GROUPING(algorithm), day, release_id, algorithm"

# A list is of one viewer and one day, so these are counted over lists; films over different ones.
LISTS = f"""
WITH lists AS (
    SELECT list_id, release_id, algorithm, {DAY.format("min(shown_at)")} AS day,
           min(user_id) AS user_id, count(*) AS impressions, count(clicked_at) AS clicks,
           count(*) FILTER (WHERE is_fallback) AS fallbacks
    FROM recommendations_impression WHERE {SHOWN} GROUP BY list_id, release_id, algorithm
)
SELECT {KEYS}, count(DISTINCT list_id), count(DISTINCT user_id), sum(impressions)::bigint,
       sum(clicks)::bigint, sum(fallbacks)::bigint
FROM lists GROUP BY {SETS}
"""  # noqa: S608 - our own names

FILMS = f"""
WITH films AS (
    SELECT DISTINCT {DAY.format("shown_at")} AS day, release_id, algorithm, movie_id
    FROM recommendations_impression WHERE {SHOWN}
)
SELECT {KEYS}, count(DISTINCT movie_id)
FROM films JOIN movies_movie ON movies_movie.id = movie_id WHERE withdrawn_at IS NULL
GROUP BY {SETS}
"""  # noqa: S608 - our own names

LIKES = f"""
WITH liked AS ({LIKED.format(each="", where=SHOWN)}), days AS (
    SELECT {DAY.format("shown_at")} AS day, release_id, algorithm FROM liked
)
SELECT {KEYS}, count(*) FROM days GROUP BY {SETS}
"""  # noqa: S608 - our own names


@dataclass
class Figures:
    """Counts, and what they come to; a share of nothing is None."""

    published: int = field(repr=False)
    lists: int = 0
    viewers: int = 0
    impressions: int = 0
    clicks: int = 0
    fallbacks: int = 0
    likes_after: int = 0
    films: int = 0

    @property
    def click_rate(self) -> float | None:
        return _share(self.clicks, self.impressions)

    @property
    def fallback_share(self) -> float | None:
        return _share(self.fallbacks, self.impressions)

    @property
    def coverage(self) -> float | None:
        return _share(self.films, self.published)


class Breakdown:
    """Figures of one time: in all, and of what has any, by what it is."""

    def __init__(self, period: Period, *, published: int) -> None:
        none = partial(Figures, published)
        self._period = period
        self.total = none()
        self.algorithms: dict[str, Figures] = defaultdict(none)
        self.days: dict[tuple[date, str], Figures] = defaultdict(none)
        #: Lists that were made without a release have None.
        self.releases: dict[tuple[int | None, str], Figures] = defaultdict(none)

    def at(self, row: Row) -> Figures:
        """Those that a row of the queries is of, by its first six columns."""
        is_any_day, is_any_release, is_any_algorithm, day, release_id, algorithm = row[:6]
        if not is_any_day:
            return self.days[self._period.day(day), algorithm]
        if not is_any_release:
            return self.releases[release_id, algorithm]
        return self.total if is_any_algorithm else self.algorithms[algorithm]


def figures_of(period: Period) -> Breakdown:
    found = Breakdown(period, published=Movie.objects.published().count())
    until, days = period.until, period.starts
    asked = {**liking(period.since, until), "until": until, "days": days}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
        for row in _rows(cursor, LISTS, asked):
            figures = found.at(row)
            figures.lists, figures.viewers, figures.impressions = row[6:9]
            figures.clicks, figures.fallbacks = row[9:]
        for row in _rows(cursor, FILMS, asked):
            found.at(row).films = row[6]
        for row in _rows(cursor, LIKES, asked):
            found.at(row).likes_after = row[6]
    return found


def _rows(cursor: CursorWrapper, query: str, asked: Mapping[str, Any]) -> list[Row]:
    """Without that of all where there is nothing."""
    cursor.execute(query, asked)
    return [row for row in cursor.fetchall() if row[6]]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
