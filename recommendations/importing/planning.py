"""What becomes of a viewer's belongings by what a file says, thought through in memory.

Repeating a file changes nothing: whatever it has brought about is found to stand already.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from movies.days import cinema_day, local_time
from recommendations.importing.formats import Deed
from recommendations.importing.rows import Fault, NotKept, Place, Refused, Said

Outcome = Literal["created", "updated", "unchanged"]

#: Before any date that a file can give.
UNDATED = datetime.min.replace(tzinfo=UTC)
#: What a viewer has done some time or other comes after what has a day.
ORDER = (Deed.RATED, Deed.LIKED, Deed.WATCHED, Deed.SEEN, Deed.LISTED)


@dataclass(frozen=True, slots=True)
class Statement:
    place: Place
    movie_id: int
    said: Said


@dataclass(frozen=True, slots=True)
class Rating:
    half_stars: int
    at: datetime


@dataclass
class Belongings:
    """What the viewer has of the films in question.

    Attributes:
        seen: Films that the viewer has said to have seen, without a day.
        days: On which each film was watched, by the cinema's day and by the calendar's.
        listed: All films of the list, in question or not.
        room_in_history: For so many entries more.
        room_on_list: For so many films more.
    """

    ratings: dict[int, Rating] = field(default_factory=dict)
    likes: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    days: defaultdict[int, set[date]] = field(default_factory=lambda: defaultdict(set))
    listed: set[int] = field(default_factory=set)
    room_in_history: int = 0
    room_on_list: int = 0

    def watched(self, movie_id: int, at: datetime) -> None:
        # Who notes on Sunday what began on Saturday at midnight means one and the same.
        self.days[movie_id] |= {cinema_day(at), local_time(at).date()}


class Plan:
    """
    Attributes:
        ratings: To be written, by the movie.
        likes, seen: When the viewer said so, by the movie.
        viewings: Movie and moment.
        listed: Movies in their order.
        counts: How often what came of what.
        refused: For want of room.
        passed_over: Because what stands goes before it.
    """

    def __init__(self, belongings: Belongings, now: datetime) -> None:
        self._has = belongings
        self._now = now
        self.ratings: dict[int, Rating] = {}
        self.likes: dict[int, datetime] = {}
        self.seen: dict[int, datetime] = {}
        self.viewings: list[tuple[int, datetime]] = []
        self.listed: list[int] = []
        self.counts: Counter[tuple[Deed, Outcome]] = Counter()
        self.refused: list[Refused] = []
        self.passed_over: list[Refused] = []

    def take(self, statements: Iterable[Statement]) -> None:
        """All that a file says: the oldest rating first, so that the newest one stays."""
        by_deed: defaultdict[Deed, list[Statement]] = defaultdict(list)
        for each in statements:
            by_deed[each.said.deed].append(each)
        by_deed[Deed.RATED].sort(key=lambda each: each.said.at or UNDATED)
        for deed in ORDER:
            for each in by_deed[deed]:
                self._take(each)

    def _take(self, each: Statement) -> None:
        said = each.said
        try:
            match said.deed:
                case Deed.RATED:
                    outcome = self._rate(each.movie_id, said)
                case Deed.LIKED:
                    outcome = self._like(each.movie_id, said.at or self._now)
                case Deed.WATCHED | Deed.SEEN:
                    outcome = self._watch(each.movie_id, said)
                case Deed.LISTED:
                    outcome = self._list(each.movie_id)
        except Fault as fault:
            self.refused.append(Refused(each.place, str(fault)))
        except NotKept as reason:
            self.passed_over.append(Refused(each.place, str(reason)))
        else:
            self.counts[said.deed, outcome] += 1

    def _rate(self, movie_id: int, said: Said) -> Outcome:
        """What the viewer has said later, here or in the file, stays. A rating without a date may
        be older than any other one.
        """
        standing = self._has.ratings.get(movie_id)
        rating = Rating(said.half_stars, said.at or self._now)
        if standing and standing.half_stars == rating.half_stars:
            return "unchanged"
        if standing and said.at is None:
            raise NotKept(
                "There is a rating of the film already, and the file does not date its own."
            )
        if standing and standing.at >= rating.at:
            return "unchanged"
        self._has.ratings[movie_id] = self.ratings[movie_id] = rating
        return "updated" if standing else "created"

    def _like(self, movie_id: int, at: datetime) -> Outcome:
        if movie_id in self._has.likes:
            return "unchanged"
        self._has.likes.add(movie_id)
        self.likes[movie_id] = at
        return "created"

    def _watch(self, movie_id: int, said: Said) -> Outcome:
        """Once a day: whoever was checked in here has often noted it elsewhere too."""
        if said.at is None:
            return self._see(movie_id)
        days = self._has.days[movie_id]
        is_dated = said.deed is Deed.WATCHED
        if (said.day or cinema_day(said.at)) in days if is_dated else days:
            return "unchanged"
        if len(self.viewings) == self._has.room_in_history:
            raise Fault("There is no room left in your history.")
        self._has.watched(movie_id, said.at)
        if said.day:
            days.add(said.day)
        self.viewings.append((movie_id, said.at))
        return "created"

    def _see(self, movie_id: int) -> Outcome:
        """A film without a day is not put into the history, which has one for each."""
        has = self._has
        if movie_id in has.seen or movie_id in has.ratings or has.days[movie_id]:
            return "unchanged"
        has.seen.add(movie_id)
        self.seen[movie_id] = self._now
        return "created"

    def _list(self, movie_id: int) -> Outcome:
        if movie_id in self._has.listed:
            return "unchanged"
        if len(self.listed) == self._has.room_on_list:
            raise Fault("There is no room left on your playlist “Watchlist”, or for it.")
        self._has.listed.add(movie_id)
        self.listed.append(movie_id)
        return "created"
