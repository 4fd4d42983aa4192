"""A viewer's figures: from a summary that is refreshed every six hours, or counted now.

The summary is the materialized view `user_interaction_summary`. A row is used only if it has the
viewer's present `taste_version`, which each action of the viewer raises. Edits of movies show with
the next refresh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from cinema import replicas
from cinema.task_queue import send_task
from movies.languages import primary_language
from users.models import User

STORED = """
SELECT figures::text FROM user_interaction_summary
WHERE user_id = %s AND taste_version = %s AND time_zone = %s
"""
COUNTED = "SELECT figures::text FROM recommendations_figures(%s) WHERE user_id = %s"
STORED_ROWS = """
SELECT taste_version, time_zone, figures::text FROM user_interaction_summary WHERE user_id = %s
"""
#: With the default `work_mem` a refresh spills to disk several times.
PREPARE = """
SELECT set_config('cinema.time_zone', %s, true), set_config('work_mem', '64MB', true),
       set_config('statement_timeout', '0', true)
"""
REFRESH = "REFRESH MATERIALIZED VIEW CONCURRENTLY user_interaction_summary"


@dataclass(frozen=True)
class WatchedCount:
    """Different movies of a genre, a decade or a language that the viewer has watched."""

    films: int = 0
    rated: int = 0
    half_stars: int = 0

    def __add__(self, other: WatchedCount) -> WatchedCount:
        return WatchedCount(
            self.films + other.films,
            self.rated + other.rated,
            self.half_stars + other.half_stars,
        )

    @property
    def mean_rating(self) -> float | None:
        return round(self.half_stars / 2 / self.rated, 2) if self.rated else None


@dataclass(frozen=True)
class MonthCount:
    viewings: int = 0
    check_ins: int = 0
    minutes: int = 0
    without_runtime: int = 0


@dataclass(frozen=True)
class ViewerFigures:
    """Counts of a viewer's history.

    Attributes:
        stars: Ratings by half stars.
        months: By the cinema's clock, as in "2026-11".
        genres: By the genre's id.
        decades: Movies without a release year have None.
        languages: By the tag without script and region.
    """

    stars: Mapping[int, int]
    favourites: int
    months: Mapping[str, MonthCount]
    genres: Mapping[int, WatchedCount]
    decades: Mapping[int | None, WatchedCount]
    languages: Mapping[str, WatchedCount]

    @property
    def films_watched(self) -> int:
        return sum(films.films for films in self.decades.values())


def figures_of(user: User) -> ViewerFigures:
    with replicas.cursor() as cursor:
        cursor.execute(STORED, [user.pk, user.taste_version, settings.TIME_ZONE])
        row = cursor.fetchone()
        if row is None:
            cursor.execute(COUNTED, [settings.TIME_ZONE, user.pk])
            row = cursor.fetchone()
    return _figures(orjson.loads(row[0]) if row else {})


def refresh_summary() -> None:
    """Refresh the summary; readers see the old one meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PREPARE, [settings.TIME_ZONE])
        cursor.execute(REFRESH)


def stored_rows(user_id: int) -> Sequence[Mapping[str, Any]]:
    """The viewer's row of the summary, however old: one or none."""
    with replicas.cursor() as cursor:
        cursor.execute(STORED_ROWS, [user_id])
        return [
            {"taste_version": version, "time_zone": zone, "figures": orjson.loads(figures)}
            for version, zone, figures in cursor.fetchall()
        ]


def refresh_soon() -> None:
    """Have the worker refresh the summary; without a broker it happens within six hours."""
    send_task("recommendations.refresh_summary")


def _figures(found: Mapping[str, Any]) -> ViewerFigures:
    genres: dict[int, WatchedCount] = {}
    decades: defaultdict[int | None, WatchedCount] = defaultdict(WatchedCount)
    languages: defaultdict[str, WatchedCount] = defaultdict(WatchedCount)
    for genre, decade, language, *counts in found.get("films", []):
        films = WatchedCount(*counts)
        if genre:
            genres[genre] = films
        else:
            decades[decade] += films
            languages[primary_language(language or "")] += films
    languages.pop("", None)
    return ViewerFigures(
        stars=dict(found.get("stars", [])),
        favourites=found.get("favourites", 0),
        months={month: MonthCount(*counts) for month, *counts in found.get("months", [])},
        genres=genres,
        decades=dict(decades),
        languages=dict(languages),
    )
