"""The programme as bytes: what runs when, by the cinema's own days."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial, wraps

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from cinema.errors import Unprocessable, database_away
from movies import catalogue, selectors
from movies.catalogue import Document, Snapshot
from movies.models import Movie, Screening
from movies.schemas import ProgrammeFilters, ScreeningOut

DEFAULT_DAYS = 7
MAX_DAYS = 92
MAX_COMING_UP = 100
NO_FILTERS = ProgrammeFilters.model_validate({})


@dataclass(frozen=True)
class ProgrammeQuery:
    """Which part of the programme; days are the cinema's, both ends included."""

    first: date
    last: date
    status: str | None = None
    genre: str | None = None
    language: str | None = None
    tag: str | None = None

    @classmethod
    def of(cls, filters: ProgrammeFilters) -> ProgrammeQuery:
        """Fill in the defaults.

        Raises:
            Unprocessable: The days are in the wrong order, or too many.
        """
        first = filters.from_ or selectors.cinema_day(timezone.now())
        last = filters.to or first + timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise Unprocessable("query.to", "`to` lies before `from`")
        if (last - first).days >= MAX_DAYS:
            raise Unprocessable("query.to", f"ask for at most {MAX_DAYS} days at once")
        tag = filters.tag.lower() if filters.tag else filters.tag
        return cls(first, last, filters.status, filters.genre, filters.language, tag)


def programme_response(query: ProgrammeQuery) -> HttpResponse:
    """The programme as an answer: bytes made once for each change and process.

    While the database is away the last known bytes are served, marked as stale: by `Warning`
    (RFC 7234, 5.5), which old caches know, and by `Cache-Status` (RFC 9211).
    """
    document, stale = programme_document(query)
    response = HttpResponse(document.body, content_type="application/json")
    response["ETag"] = document.etag
    response["Cache-Control"] = "public, max-age=0, must-revalidate"
    if stale:
        response["Warning"] = '110 cinema "Response is Stale"'
        response["Cache-Status"] = "cinema; hit; detail=stale"
    return response


def without_parsing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer a request without parameters before the framework looks for them.

    Nearly all requests are such, and the bytes are there: looking took a fifth of the time.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.META.get("QUERY_STRING"):
            return view(request, *args, **kwargs)
        try:
            return programme_response(ProgrammeQuery.of(NO_FILTERS))
        except (OperationalError, InterfaceError):
            return database_away()

    return answer


def programme_document(query: ProgrammeQuery) -> tuple[Document, bool]:
    """The programme, and whether it may be out of date because the database is away."""
    return catalogue.current().document(query, partial(build_programme, query))


def build_programme(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    """Two queries for the screenings and their genres, two for what is coming up."""
    days: dict[date, dict[int, list[Screening]]] = defaultdict(lambda: defaultdict(list))
    movies: dict[int, Movie] = {}
    for screening in _screenings(query):
        movies[screening.movie_id] = screening.movie
        days[selectors.cinema_day(screening.starts_at)][screening.movie_id].append(screening)
    body = orjson.dumps(
        {
            "from": query.first,
            "to": query.last,
            "days": [
                {
                    "date": day,
                    "movies": [
                        _with_screenings(snapshot.card(movies[movie_id]).json, screenings)
                        for movie_id, screenings in days[day].items()
                    ],
                }
                for day in (
                    query.first + timedelta(days=n)
                    for n in range((query.last - query.first).days + 1)
                )
            ],
            "coming_up": [orjson.Fragment(snapshot.card(m).json) for m in _coming_up(query)],
        }
    )
    return Document(body, etag=f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')


def _with_screenings(movie: bytes, screenings: list[Screening]) -> orjson.Fragment:
    shown = b",".join(ScreeningOut.from_orm(s).model_dump_json().encode() for s in screenings)
    return orjson.Fragment(b'%b,"screenings":[%b]}' % (movie[:-1], shown))


def _screenings(query: ProgrammeQuery) -> list[Screening]:
    screenings = (
        Screening.objects.filter(
            movie__withdrawn_at=None,
            starts_at__gte=selectors.start_of_cinema_day(query.first),
            starts_at__lt=selectors.start_of_cinema_day(query.last + timedelta(days=1)),
        )
        .exclude(state=Screening.State.HIDDEN)
        .select_related("movie", "hall")
        .prefetch_related("movie__genres")
        .order_by("starts_at", "id")
    )
    if query.status is not None:
        screenings = screenings.filter(movie__status=query.status)
    if query.genre is not None:
        screenings = screenings.filter(movie__genres__slug=query.genre)
    if query.language is not None:
        screenings = screenings.filter(language=query.language)
    if query.tag is not None:
        screenings = screenings.filter(tags__contains=[query.tag])
    return list(screenings)


def _coming_up(query: ProgrammeQuery) -> list[Movie]:
    """A movie without a screening has no tag, so a filter by tag leaves nothing coming up."""
    if query.tag is not None or query.status not in (None, Movie.Status.COMING_UP):
        return []
    movies = Movie.objects.published().filter(status=Movie.Status.COMING_UP)
    if query.genre is not None:
        movies = movies.filter(genres__slug=query.genre)
    if query.language is not None:
        movies = movies.filter(original_language=query.language)
    ordered = movies.order_by("start_date", "id").prefetch_related("genres")
    return list(ordered[:MAX_COMING_UP])
