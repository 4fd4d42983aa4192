"""The cinema's weeks: Monday to Sunday by its own days, which end in the small hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from movies.days import cinema_day, start_of_cinema_day

ONE_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Week:
    monday: date

    @classmethod
    def of(cls, day: date) -> Week:
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def present(cls) -> Week:
        return cls.of(cinema_day(timezone.now()))

    @classmethod
    def read(cls, text: str | None) -> Week | None:
        """The week of a day such as `2026-12-03`; None if it is none that the calendar reaches."""
        try:
            day = date.fromisoformat(text or "")
        except ValueError:
            return None
        return cls.of(day) if 1871 <= day.year <= 2199 else None

    def after(self, weeks: int) -> Week:
        return Week(self.monday + weeks * ONE_WEEK)

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From its first moment to the one after its last."""
        return start_of_cinema_day(self.monday), start_of_cinema_day(self.monday + ONE_WEEK)

    def __str__(self) -> str:
        return f"{self.monday:%d %b} – {self.sunday:%d %b %Y}"
