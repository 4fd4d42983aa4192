"""Pages of screenings, found without a walk over the screenings of the years before.

A cinema's list of screenings grows for decades. For each list, the catalogue keeps how many
screenings start in each period. A page is then read from the one or two periods that it is in.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db.models import Count, DateTimeField, Func, QuerySet
from django.http import HttpRequest

from cinema.schemas import Paginated, Pagination
from movies import catalogue
from movies.models import Screening

PERIOD = timedelta(days=28)
#: A page that spans a longer time is looked up by the ids of its list, if those are few enough.
LONG, FEW_IDS = 4 * PERIOD, 5_000


class _PeriodOf(Func):
    """The start of the period in which a screening starts."""

    template = "date_bin('28 days', %(expressions)s, '2000-01-01T00:00:00Z')"
    arity = 1
    output_field = DateTimeField()


@dataclass(frozen=True)
class _Periods:
    """The periods that have screenings of a list, in order.

    Attributes:
        ends: How many screenings of the list start in this period or before.
    """

    starts: Sequence[datetime]
    ends: Sequence[int]

    @property
    def total(self) -> int:
        return self.ends[-1] if self.ends else 0


def _count_by_period(screenings: QuerySet[Screening]) -> _Periods:
    counted = (
        screenings.annotate(period=_PeriodOf("starts_at"))
        .values_list("period")
        .annotate(count=Count("pk"))
        .order_by("period")
    )
    rows = list(counted)
    return _Periods([start for start, _ in rows], list(accumulate(count for _, count in rows)))


def _ids(screenings: QuerySet[Screening]) -> Sequence[int]:
    return list(screenings.order_by("starts_at", "id").values_list("pk", flat=True))


class ScreeningPages(Paginated):
    """`Paginated` for screenings in the order of their start."""

    def paginate_queryset(
        self,
        queryset: QuerySet[Screening],
        pagination: Paginated.Input,
        request: HttpRequest,
        **params: object,
    ) -> dict[str, Any]:
        periods = catalogue.kept(queryset, _count_by_period)
        end = min(pagination.end, periods.total)
        rows = _rows(queryset, periods, pagination.start, end) if pagination.start < end else []
        return {"data": rows, "pagination": Pagination.of(pagination, periods.total)}


def _rows(
    screenings: QuerySet[Screening], periods: _Periods, start: int, end: int
) -> QuerySet[Screening]:
    first = bisect.bisect_right(periods.ends, start)
    last = bisect.bisect_left(periods.ends, end)
    if periods.starts[last] - periods.starts[first] > LONG and periods.total <= FEW_IDS:
        return screenings.filter(pk__in=catalogue.kept(screenings, _ids)[start:end])
    before = periods.ends[first - 1] if first else 0
    within = screenings.filter(
        starts_at__gte=periods.starts[first], starts_at__lt=periods.starts[last] + PERIOD
    )
    return within[start - before : end - before]
