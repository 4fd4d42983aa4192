"""A viewer's own figures, as they are shown.

What is counted are rows that the viewer has made, also of films withdrawn since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from movies.models import Genre
from recommendations.ratings.summary import Films, Month, figures_of
from users.models import User

Row = dict[str, Any]


def statistics_of(user: User, *, months: int) -> Row:
    """In the form of `StatisticsOut`; `months` is how many are listed, up to this one."""
    figures = figures_of(user)
    stars, by_month = figures.stars, figures.months
    return {
        "counts": {
            "ratings": sum(stars.values()),
            "favourites": figures.favourites,
            "history": sum(month.viewings for month in by_month.values()),
            "check_ins": sum(month.check_ins for month in by_month.values()),
            "films_watched": figures.films_watched,
        },
        "mean_rating": _mean_of(stars),
        "by_stars": [{"stars": half / 2, "ratings": stars.get(half, 0)} for half in range(1, 11)],
        "by_genre": _by_genre(figures.genres),
        "by_decade": _by_decade(figures.decades),
        "by_month": [_month(by_month, month) for month in _last_months(months)],
        "hours_watched": round(sum(month.minutes for month in by_month.values()) / 60, 1),
        "viewings_without_runtime": sum(month.without_runtime for month in by_month.values()),
    }


def _by_genre(found: Mapping[int, Films]) -> list[Row]:
    """The most watched first."""
    genres = Genre.objects.in_bulk(list(found))
    rows = [(found[pk], genre) for pk, genre in genres.items()]
    rows.sort(key=lambda row: (-row[0].films, row[1].name))
    return [{"slug": genre.slug, "name": genre.name, **_shown(films)} for films, genre in rows]


def _by_decade(found: Mapping[int | None, Films]) -> list[Row]:
    """In order; films without a year come last."""
    in_order = sorted(found.items(), key=lambda item: (item[0] is None, item[0]))
    return [{"decade": decade, **_shown(films)} for decade, films in in_order]


def _shown(films: Films) -> Row:
    return {"films_watched": films.films, "mean_rating": films.mean_rating}


def _mean_of(stars: Mapping[int, int]) -> float | None:
    total = sum(stars.values())
    return round(sum(half * n for half, n in stars.items()) / 2 / total, 2) if total else None


def _last_months(count: int) -> list[str]:
    """As in "2026-11", this month's last."""
    today = timezone.localdate()
    number = today.year * 12 + today.month - 1
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(number - count + 1, number + 1)]


def _month(by_month: Mapping[str, Month], month: str) -> Row:
    found = by_month.get(month, Month())
    return {"month": month, "viewings": found.viewings, "check_ins": found.check_ins}
