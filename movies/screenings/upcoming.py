"""The screenings to come in memory, by which lists are filtered without a query."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from operator import attrgetter
from sys import intern
from typing import NamedTuple

from django.utils import timezone

from movies.days import cinema_day, clock_reading, moment_of, start_of_cinema_day
from movies.languages import NO_WORDS, is_in_range
from movies.models import Screening

STARTS_AT = attrgetter("starts_at")


class UpcomingScreening(NamedTuple):
    """The languages are BCP 47 tags; empty if unknown, and without subtitles."""

    movie_id: int
    starts_at: datetime
    ends_at: datetime
    spoken: str
    subtitles: str


@dataclass(frozen=True, eq=False)
class UpcomingScreenings:
    """Screenings of published movies that had not started when they were read, in order.

    Cancelled and hidden ones are left out.
    """

    screenings: Sequence[UpcomingScreening]

    @classmethod
    def read(cls) -> UpcomingScreenings:
        rows = (
            Screening.objects.filter(starts_at__gt=timezone.now(), movie__withdrawn_at=None)
            .exclude(state__in=[Screening.State.CANCELLED, Screening.State.HIDDEN])
            .order_by("starts_at")
            .values_list(
                "movie_id", "starts_at", "ends_at", "language", "subtitles", "version",
                "movie__original_language",
            )
        )  # fmt: skip
        found = []
        for movie_id, starts_at, ends_at, language, subtitles, version, original in rows:
            # The same rule as `Screening.spoken_language`.
            spoken = language or (None if version == Screening.Version.DUBBED else original)
            codes = intern(spoken or ""), intern(subtitles or "")
            found.append(UpcomingScreening(movie_id, starts_at, ends_at, *codes))
        return cls(found)

    def next_start(self) -> datetime | None:
        """When the next screening begins, after which `showing` may return fewer movies."""
        place = bisect_right(self.screenings, timezone.now(), key=STARTS_AT)
        return self.screenings[place].starts_at if place < len(self.screenings) else None

    def showing(
        self,
        days: int,
        *,
        language: str | None = None,
        understands: Collection[str] = (),
        before: time | None = None,
    ) -> list[int]:
        """The movies with a screening still to come in these cinema days, the next first.

        The first day is today. The languages select screenings as they do in the programme.

        Args:
            before: The screening ends by this time of its cinema day: 01:00 is in the night after.
        """
        now = timezone.now()
        today = cinema_day(now)
        end = start_of_cinema_day(today + timedelta(days=days))
        first = bisect_right(self.screenings, now, key=STARTS_AT)
        found = self.screenings[first : bisect_left(self.screenings, end, key=STARTS_AT)]
        if language is not None:
            spoken = _within({each.spoken for each in found}, [language])
            found = [each for each in found if each.spoken in spoken]
        if understands:
            spoken = _within({each.spoken for each in found}, [NO_WORDS, *understands])
            texts = _within({each.subtitles for each in found}, understands)
            found = [each for each in found if each.spoken in spoken or each.subtitles in texts]
        if before is not None:
            dates = [today + timedelta(days=n) for n in range(days)]
            latest = {day: moment_of(clock_reading(day, before))[0] for day in dates}
            found = [each for each in found if each.ends_at <= latest[cinema_day(each.starts_at)]]
        return list(dict.fromkeys(each.movie_id for each in found))


def _within(codes: Iterable[str], ranges: Collection[str]) -> set[str]:
    """The codes that are in one of the language ranges."""
    return {code for code in codes if any(is_in_range(code, wanted) for wanted in ranges)}
