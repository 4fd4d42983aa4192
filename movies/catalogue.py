"""The catalogue's version, and the part of the catalogue that each process keeps in memory.

The catalogue is read far more often than written. Each process keeps a `Snapshot` and looks every
half second whether the catalogue's version has risen. Database triggers raise the version in the
transaction of the change itself: no message can get lost, and Valkey has no part in it.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from cachetools import LRUCache
from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db.models import F, Model, QuerySet

from cinema.database import prepared_cursor
from cinema.response_cache import DATABASE_AWAY, PolledValue
from movies.models import CatalogueVersion, Genre, Movie
from movies.schemas import MovieOut
from movies.screenings.upcoming import UpcomingScreenings

#: A snapshot is renewed after so long: ratings do not change the version of the catalogue.
CATALOGUE_MAX_AGE_S = 300.0
#: Numbers of rows that a process keeps, one for each list that was asked for.
MAX_KEPT = 64

M = TypeVar("M", bound=Model)
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """A movie as the API shows it."""

    name: str
    json: bytes


@dataclass(eq=False)
class Snapshot:
    """Data derived from one version of the catalogue, piece by piece when they are asked for."""

    version: int
    made_at: float = field(default_factory=time.monotonic)
    _cards: dict[int, Card] = field(default_factory=dict)
    _kept: LRUCache[Hashable, Any] = field(default_factory=lambda: LRUCache(MAX_KEPT))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_old(self) -> bool:
        """Ratings raise no version, or every click would end everything: they show in minutes."""
        return time.monotonic() - self.made_at >= CATALOGUE_MAX_AGE_S

    @property
    def key(self) -> str:
        """The version of responses that are built from this snapshot."""
        return f"{self.version} {self.made_at}"

    def card(self, movie: Movie) -> Card:
        """Return the movie's card; its genres should have been read."""
        if movie.pk not in self._cards:
            shown = MovieOut.of(movie).model_dump_json().encode()
            self._cards[movie.pk] = Card(movie.name, shown)
        return self._cards[movie.pk]

    def cards(self, movie_ids: Iterable[int]) -> dict[int, Card]:
        """Return the cards of published movies by id, without the others."""
        wanted = list(movie_ids)
        if missing := [pk for pk in wanted if pk not in self._cards]:
            for movie in set_genres(Movie.objects.published().filter(pk__in=missing)):
                self.card(movie)
        return {pk: self._cards[pk] for pk in wanted if pk in self._cards}

    def kept(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what `read` returned for this key before, or call it."""
        with self._lock:
            if key in self._kept:
                value: T = self._kept[key]
                return value
        value = read()
        with self._lock:
            self._kept[key] = value
        return value

    @cached_property
    def genres(self) -> Mapping[int, Genre]:
        """All genres by id, in the order in which movies show them."""
        return _read_genres()

    @cached_property
    def published(self) -> Sequence[int]:
        """The ids of all published movies, the latest start first."""
        movies = Movie.objects.published().order_by("-start_date", "-id")
        return list(movies.values_list("pk", flat=True))

    @cached_property
    def upcoming(self) -> UpcomingScreenings:
        return UpcomingScreenings.read()


@dataclass(frozen=True)
class Catalogue:
    """The snapshot of this process; it is stale while the database is away."""

    snapshot: Snapshot
    stale: bool = False


def _renew(old: Catalogue | None) -> Catalogue:
    """Compare the catalogue with the database.

    Raises:
        OperationalError: The database is away, and this process has nothing yet.
    """
    try:
        with prepared_cursor() as cursor:
            # A cinema that has no movie yet has no version either: the first one makes it 1.
            cursor.execute("SELECT coalesce(max(version), 0) FROM movies_catalogueversion")
            [version] = cursor.fetchone()
    except DATABASE_AWAY as error:
        if old is None:
            raise
        if not old.stale:
            log.warning("the database is away, the programme is served as it was: %s", error)
        return replace(old, stale=True)
    if old and old.snapshot.version == version and not old.snapshot.is_old():
        return replace(old, stale=False)
    return Catalogue(Snapshot(version))


_catalogue = PolledValue(_renew, lambda: settings.CATALOGUE_CHECK_INTERVAL_S)
current = _catalogue.get
#: The catalogue as the database has it now.
fresh = _catalogue.fresh
forget = _catalogue.forget
#: Makes this process look at the version again. Other processes look several times a second.
expire = _catalogue.expire


def currency_check(catalogue: Catalogue) -> Callable[[], bool]:
    """A check whether this is still the present catalogue, which it does not keep in memory."""
    reference = weakref.ref(catalogue)

    def is_current() -> bool:
        found = reference()
        return found is not None and _catalogue.is_current(found)

    return is_current


def _read_genres() -> Mapping[int, Genre]:
    return {genre.pk: genre for genre in Genre.objects.all()}


def set_genres(movies: Iterable[Movie]) -> list[Movie]:
    """Return the movies with their genres from memory, as `prefetch_related("genres")` reads them.

    For a page of movies the query and its rows took a third of the time.
    """
    found = list(movies)
    genres = _catalogue.latest().snapshot.genres
    if not genres.keys() >= {pk for movie in found for pk in movie.genre_ids}:
        genres = _read_genres()  # one of them is newer than the snapshot
    for movie in found:
        ids = movie.genre_ids
        shown = [genre for pk, genre in genres.items() if pk in ids]
        movie._prefetched_objects_cache = {"genres": shown}  # type: ignore[attr-defined]
    return found


def kept(rows: QuerySet[M], read: Callable[[QuerySet[M]], T]) -> T:
    """Return `read(rows)`, the number of the rows or the like, kept until the catalogue changes.

    To count a large list takes much longer than to read a page of it. The version is read before
    the rows, so the result can be newer than the version, never older.
    """
    rows = rows.order_by()
    try:
        key = (read, repr(rows.query.sql_with_params()))
    except EmptyResultSet:
        return read(rows)
    return fresh().snapshot.kept(key, partial(read, rows))


def count_rows(rows: QuerySet[Any]) -> int:
    """The number of the rows, for `kept`."""
    return rows.count()


_writes = 0
_counting = threading.Lock()


def note_write() -> None:
    """Count a request that may have written something, such as a rating."""
    global _writes
    with _counting:
        _writes += 1


def count_writes() -> int:
    """Return the number of requests through this process that may have written."""
    return _writes


def raise_version() -> None:
    """End all cached responses, after a change that raises no version by itself."""
    CatalogueVersion.objects.update(version=F("version") + 1)
