"""The days that figures are of, by the cinema's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from cinema.errors import Unprocessable
from movies.days import ONE_DAY, moment_of

DEFAULT_DAYS = 28
MAX_DAYS = 366


@dataclass(frozen=True)
class Period:
    """From the first moment of one day to the last of another."""

    first: date
    last: date

    @classmethod
    def of(cls, first: date | None, last: date | None) -> Period:
        """What is not said ends today, and begins four weeks before its end.

        Raises:
            Unprocessable: It ends before it begins, or is too long.
        """
        last = last or timezone.localdate()
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise Unprocessable("query.to", "`to` lies before `from`")
        if (last - first).days >= MAX_DAYS:
            raise Unprocessable("query.to", f"ask for at most {MAX_DAYS} days at once")
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
        """The first moments of its days."""
        return [_start(self.day(number)) for number in range(1, (self.last - self.first).days + 2)]

    def day(self, number: int) -> date:
        """Counted from 1."""
        return self.first + timedelta(days=number - 1)


def _start(day: date) -> datetime:
    return moment_of(datetime.combine(day, time.min))[0]
