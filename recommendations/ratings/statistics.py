"""A viewer's own figures, in a fixed number of queries.

What is counted are rows that the viewer has made, also of films withdrawn since.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from django.db.models import Count, FilteredRelation, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth
from django.utils import timezone

from movies.models import Movie
from recommendations.models import Interaction
from recommendations.ratings.selectors import ratings_of
from users.models import Favourite, User, Viewing

Kind = Interaction.Kind
Row = dict[str, Any]


def statistics_of(user: User, *, months: int) -> Row:
    """In the form of `StatisticsOut`; `months` is how many are listed, up to this one."""
    stars = dict(ratings_of(user).values_list("half_stars").annotate(n=Count("pk")))
    by_month = {row["month"].date(): row for row in _viewings_by_month(user)}
    by_decade = _films_by_decade(user)
    return {
        "counts": {
            "ratings": sum(stars.values()),
            "favourites": Favourite.objects.filter(user=user).count(),
            "history": _total(by_month, "viewings"),
            "check_ins": _total(by_month, "check_ins"),
            "films_watched": sum(row["films_watched"] for row in by_decade),
        },
        "mean_rating": _mean_of(stars),
        "by_stars": [{"stars": half / 2, "ratings": stars.get(half, 0)} for half in range(1, 11)],
        "by_genre": _films_by_genre(user),
        "by_decade": by_decade,
        "by_month": [_month(by_month, first) for first in _last_months(months)],
        "hours_watched": round(_total(by_month, "minutes") / 60, 1),
        "viewings_without_runtime": _total(by_month, "without_runtime"),
    }


def _viewings_by_month(user: User) -> list[Row]:
    month = TruncMonth("watched_at", tzinfo=timezone.get_default_timezone())
    rows = (
        Viewing.objects.filter(user=user)
        .values(month=month)
        .annotate(
            viewings=Count("pk"),
            check_ins=Count("pk", filter=Q(checked_in=True)),
            minutes=Sum("movie__runtime_minutes", default=0),
            without_runtime=Count("pk", filter=Q(movie__runtime_minutes=None)),
        )
    )
    return cast("list[Row]", list(rows))


def _films_watched(user: User) -> QuerySet[Movie]:
    """Each once, with the viewer's rating as `mine`."""
    seen = Interaction.objects.filter(user=user, kind__in=[Kind.RATING, Kind.SEEN])
    viewings = Viewing.objects.filter(user=user).order_by()
    either = viewings.values("movie_id").union(seen.order_by().values("movie_id"))
    is_my_rating = Q(interactions__user=user, interactions__kind=Kind.RATING)
    return (
        Movie.objects.filter(pk__in=either)
        .order_by()
        .annotate(mine=FilteredRelation("interactions", condition=is_my_rating))
    )


def _films_by_genre(user: User) -> list[Row]:
    """The most watched first."""
    films = _films_watched(user).filter(genres__isnull=False)
    rows = _figures_by(films, "genres__slug", "genres__name")
    rows.sort(key=lambda row: (-row["films"], row["genres__name"]))
    return [
        {"slug": row["genres__slug"], "name": row["genres__name"], **_shown(row)} for row in rows
    ]


def _films_by_decade(user: User) -> list[Row]:
    """The figures by release year, put together by decade; films without a year come last."""
    decades: dict[int | None, Row] = {}
    for row in _figures_by(_films_watched(user), "release_year"):
        year = row.pop("release_year")
        into = decades.setdefault(year and year // 10 * 10, dict.fromkeys(row, 0))
        for name, figure in row.items():
            into[name] += figure
    in_order = sorted(decades.items(), key=lambda item: (item[0] is None, item[0]))
    return [{"decade": decade, **_shown(row)} for decade, row in in_order]


def _figures_by(films: QuerySet[Movie], *columns: str) -> list[Row]:
    """By the columns what can be added up: films, how many of them are rated, their half stars."""
    rows = films.values(*columns).annotate(
        films=Count("pk"), rated=Count("mine"), half_stars=Sum("mine__half_stars", default=0)
    )
    return cast("list[Row]", list(rows))


def _shown(row: Row) -> Row:
    mean = round(row["half_stars"] / 2 / row["rated"], 2) if row["rated"] else None
    return {"films_watched": row["films"], "mean_rating": mean}


def _mean_of(stars: Mapping[int, int]) -> float | None:
    total = sum(stars.values())
    return round(sum(half * n for half, n in stars.items()) / 2 / total, 2) if total else None


def _total(by_month: Mapping[date, Row], what: str) -> int:
    return sum(row[what] for row in by_month.values())


def _last_months(count: int) -> list[date]:
    """The first day of each, this month's last."""
    today = timezone.localdate()
    number = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(number - count + 1, number + 1)]


def _month(by_month: Mapping[date, Row], first: date) -> Row:
    row = by_month.get(first, {})
    return {
        "month": f"{first:%Y-%m}",
        "viewings": row.get("viewings", 0),
        "check_ins": row.get("check_ins", 0),
    }
