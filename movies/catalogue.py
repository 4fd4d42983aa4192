"""What this process has derived from the catalogue, kept for as long as the catalogue stands still.

The programme is read far more often than written. So each process keeps a `Snapshot` of bytes
that were made once, and looks every half second whether the catalogue's version has moved on;
the version is a row that database triggers raise in the transaction of the change itself.
No message can get lost, and Valkey has no part in it.
"""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from cinema.http import Document
from cinema.response_cache import PolledValue
from movies.days import cinema_day, start_of_cinema_day
from movies.models import CatalogueVersion, Movie, Screening
from movies.schemas import MovieOut

log = logging.getLogger(__name__)


def limit_bytes() -> int:
    """How much the documents of a snapshot may take: a quarter of CACHE_SIZE.

    The snapshot before it may have as much, and `cinema.response_cache` has the other half.
    """
    return int(settings.CACHE_SIZE * 1024 * 1024) // 4


@dataclass(frozen=True)
class Card:
    """A movie as the API shows it."""

    name: str
    json: bytes


@dataclass(eq=False)
class Snapshot:
    """Derived from one version of the catalogue, piece by piece as it is asked for."""

    version: int
    made_at: float = field(default_factory=time.monotonic)
    _documents: OrderedDict[object, Document] = field(default_factory=OrderedDict)
    _documents_bytes: int = 0
    _pinned: dict[object, Document] = field(default_factory=dict)
    _cards: dict[int, Card] = field(default_factory=dict)
    _building: threading.RLock = field(default_factory=threading.RLock)

    def is_old(self) -> bool:
        """Ratings raise no version, lest every click made all anew: they show after minutes."""
        return time.monotonic() - self.made_at >= settings.CATALOGUE_MAX_AGE_S

    def document(
        self, key: object, build: Callable[[], Document], *, pinned: bool = False
    ) -> Document:
        """The document of this key, built by one thread while the others wait for it."""
        if found := self.kept(key):
            return found
        with self._building:
            return self.kept(key) or self._keep(key, build(), pinned)

    def _keep(self, key: object, document: Document, pinned: bool) -> Document:
        """Keep the document. Filters go together in endless ways, so that the oldest must go.

        A pinned one stays, even if there is no memory for others.
        """
        (self._pinned if pinned else self._documents)[key] = document
        self._documents_bytes += document.size_bytes
        while self._documents and self._documents_bytes > limit_bytes():
            _, oldest = self._documents.popitem(last=False)
            self._documents_bytes -= oldest.size_bytes
        return document

    def kept(self, key: object) -> Document | None:
        return self._pinned.get(key) or self._documents.get(key)

    def card(self, movie: Movie) -> Card:
        """The movie's card; `genres` should be prefetched."""
        if movie.pk not in self._cards:
            shown = MovieOut.of(movie).model_dump_json().encode()
            self._cards[movie.pk] = Card(movie.name, shown)
        return self._cards[movie.pk]

    def cards(self, movie_ids: Iterable[int]) -> dict[int, Card]:
        """The cards of published movies by id; the others are left out."""
        wanted = list(movie_ids)
        if missing := [pk for pk in wanted if pk not in self._cards]:
            found = Movie.objects.published().filter(pk__in=missing).prefetch_related("genres")
            for movie in found:
                self.card(movie)
        return {pk: self._cards[pk] for pk in wanted if pk in self._cards}

    @cached_property
    def published(self) -> Sequence[int]:
        """The ids of all published movies, the latest start first."""
        movies = Movie.objects.published().order_by("-start_date", "-id")
        return list(movies.values_list("pk", flat=True))

    @cached_property
    def _screenings_to_come(self) -> tuple[list[datetime], list[int]]:
        """Starts, in order, and the movie of each."""
        screenings = (
            Screening.objects.filter(starts_at__gt=timezone.now(), movie__withdrawn_at=None)
            .exclude(state__in=[Screening.State.CANCELLED, Screening.State.HIDDEN])
            .order_by("starts_at")
            .values_list("starts_at", "movie_id")
        )
        rows = list(screenings)
        return [starts_at for starts_at, _ in rows], [movie_id for _, movie_id in rows]

    def showing(self, days: int) -> list[int]:
        """The movies with a screening still to come in so many cinema days, the next one first.

        The first day is today, as in the programme.
        """
        starts, movie_ids = self._screenings_to_come
        now = timezone.now()
        end = start_of_cinema_day(cinema_day(now) + timedelta(days=days))
        first, last = bisect.bisect_right(starts, now), bisect.bisect_left(starts, end)
        return list(dict.fromkeys(movie_ids[first:last]))


@dataclass(frozen=True)
class Catalogue:
    """The snapshot, the one before it, and whether the database is away.

    A snapshot begins empty, so when the database fails right after a change, the one before is
    all there is.
    """

    snapshot: Snapshot
    previous: Snapshot | None = None
    stale: bool = False

    def document(
        self, key: object, build: Callable[[Snapshot], Document], *, pinned: bool = False
    ) -> tuple[Document, bool]:
        """The document of this key, and whether it may be out of date.

        A pinned one is not pushed out by others: for few keys, which no caller can choose.

        Raises:
            OperationalError: The database is away, and there never was such a document.
        """
        try:
            found = self.snapshot.document(key, lambda: build(self.snapshot), pinned=pinned)
        except (OperationalError, InterfaceError):
            kept = self.previous.kept(key) if self.previous else None
            if kept is None:
                raise
            return kept, True
        return found, self.stale


def _renew(old: Catalogue | None) -> Catalogue:
    """Hold the catalogue against the database.

    Raises:
        OperationalError: The database is away, and this process has nothing yet.
    """
    try:
        # A cinema that has no movie yet has no version either: the first one makes it 1.
        version = CatalogueVersion.objects.values_list("version", flat=True).first() or 0
    except (OperationalError, InterfaceError) as error:
        if old is None:
            raise
        if not old.stale:
            log.warning("the database is away, the programme is served as it was: %s", error)
        return replace(old, stale=True)
    if old and old.snapshot.version == version and not old.snapshot.is_old():
        return replace(old, stale=False)
    return Catalogue(Snapshot(version), previous=old.snapshot if old else None)


_catalogue = PolledValue(_renew, lambda: settings.CATALOGUE_CHECK_INTERVAL_S)
current = _catalogue.get
forget = _catalogue.forget
#: After a write through this process: who reads next sees it.
check_on_next_request = _catalogue.expire


def raise_version() -> None:
    """Have everything made anew, where something changed that raises no version by itself."""
    CatalogueVersion.objects.update(version=F("version") + 1)


GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def read_your_writes(get_response: GetResponse) -> GetResponse:
    """Whoever has written through this process finds it in the next answer.

    Other processes see it when they next look, as they do several times a second. Here, after the
    request, its transactions are committed, through whichever door it came in.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method not in SAFE_METHODS:
            check_on_next_request()
        return response

    return middleware
