"""Figures of the lists that viewers were shown, counted by a few queries however many there are.

A movie that was shown counts as liked if the viewer said or did something good about it within a
week after, and nothing bad later. `seen` is neither: many viewers have seen films before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from cinema import replicas
from cinema.errors import Unprocessable
from movies.days import ONE_DAY, moment_of
from movies.models import Movie
from recommendations.dataset import HALF_STARS, Evidence, weight_table
from recommendations.models.serving import impressions_kept_since

DEFAULT_PERIOD_DAYS = 28
MAX_PERIOD_DAYS = 366


@dataclass(frozen=True)
class Period:
    """Days by the cinema's clock; both ends are included."""

    first: date
    last: date

    @classmethod
    def of(cls, first: date | None, last: date | None) -> Period:
        """The default ends today, and begins four weeks before its end.

        Raises:
            Unprocessable: It ends before it begins, or is too long.
        """
        last = last or timezone.localdate()
        first = first or last - timedelta(days=DEFAULT_PERIOD_DAYS - 1)
        if last < first:
            raise Unprocessable("query.to", "`to` lies before `from`")
        if (last - first).days >= MAX_PERIOD_DAYS:
            raise Unprocessable("query.to", f"ask for at most {MAX_PERIOD_DAYS} days at once")
        return cls(first, last)

    @property
    def since(self) -> datetime:
        return _start(self.first)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return _start(self.last + ONE_DAY)

    @property
    def starts(self) -> list[datetime]:
        """The first moment of each day."""
        return [_start(self.day(number)) for number in range(1, (self.last - self.first).days + 2)]

    def day(self, number: int) -> date:
        """The day by its number, counted from 1."""
        return self.first + timedelta(days=number - 1)


def _start(day: date) -> datetime:
    return moment_of(datetime.combine(day, time.min))[0]


LIKED_WITHIN = timedelta(days=7)

# The view `recommendations_evidence` would group all viewings before it compares their times.
EVIDENCE = f"""
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

#: The impressions that were liked: for each viewer and movie the last one before the like. To be
#: filled in: `each`, further columns that they are grouped by, and `where`, a condition.
LIKED = f"""
SELECT DISTINCT ON ({{each}} shown.user_id, shown.movie_id) shown.*
FROM ({EVIDENCE}) AS said
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


def like_parameters(since: datetime, until: datetime) -> dict[str, Any]:
    """The parameters for impressions from `since` on and before `until` that are still kept."""
    weights = weight_table().copy()
    weights[Evidence.SEEN] = 0
    return {
        "since": max(since, impressions_kept_since()),
        "said_until": until + LIKED_WITHIN,
        "within": LIKED_WITHIN,
        "good": np.flatnonzero(weights > 0).tolist(),
        "bad": np.flatnonzero(weights < 0).tolist(),
    }


Row = tuple[Any, ...]

#: Sorting and grouping beyond this spills to disk.
WORK_MEM = "64MB"

SHOWN = "shown_at >= %(since)s AND shown_at < %(until)s"
#: The number of the day, counted from 1. To convert time zones would take twice as long.
DAY = "width_bucket({}, %(days)s::timestamptz[])"

#: Figures are grouped by day, by release, by algorithm, and not at all.
SETS = "GROUPING SETS ((day, algorithm), (release_id, algorithm), (algorithm), ())"
KEYS = "GROUPING(day), GROUPING(release_id), GROUPING(algorithm), day, release_id, algorithm"

# A list has one viewer and one day, so these are counted by list, and movies by themselves.
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
class ListFigures:
    """Counts and shares; a share of nothing is None."""

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
    """The figures of a period in all groupings."""

    def __init__(self, period: Period, *, published: int) -> None:
        none = partial(ListFigures, published)
        self._period = period
        self.total = none()
        self.algorithms: dict[str, ListFigures] = defaultdict(none)
        self.days: dict[tuple[date, str], ListFigures] = defaultdict(none)
        #: The release is None for lists that were made without one.
        self.releases: dict[tuple[int | None, str], ListFigures] = defaultdict(none)

    def at(self, row: Row) -> ListFigures:
        """The figures of a row of the queries, by its first six columns."""
        is_any_day, is_any_release, is_any_algorithm, day, release_id, algorithm = row[:6]
        if not is_any_day:
            return self.days[self._period.day(day), algorithm]
        if not is_any_release:
            return self.releases[release_id, algorithm]
        return self.total if is_any_algorithm else self.algorithms[algorithm]


def figures_of(period: Period) -> Breakdown:
    found = Breakdown(period, published=Movie.objects.published().count())
    until, days = period.until, period.starts
    asked = {**like_parameters(period.since, until), "until": until, "days": days}
    database = replicas.alias()
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
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
    """Rows with a count; the ungrouped row exists even if there is nothing."""
    cursor.execute(query, asked)
    return [row for row in cursor.fetchall() if row[6]]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
