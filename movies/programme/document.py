"""The programme as JSON, by cinema days, and the responses that serve its documents."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable
from datetime import date, timedelta
from functools import partial
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

from cinema.http import Document, document_response
from cinema.response_cache import CacheKind, Repeatable, responses
from movies import catalogue
from movies.catalogue import Snapshot
from movies.days import cinema_day, local_isoformat
from movies.languages import NO_WORDS, language_filter
from movies.models import Movie
from movies.programme.selectors import DEFAULT_DAYS, ProgrammeQuery, programme_screenings
from movies.screenings.schemas import ScreeningOut
from movies.selectors import given

MAX_COMING_UP = 100
#: The fields of `ScreeningOut` as columns.
COLUMNS = ["hall__name" if name == "hall" else name for name in ScreeningOut.model_fields]
#: A screening as `ScreeningOut` shows it.
_Shown = dict[str, Any]


def build_programme(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    """Build it with two queries for screenings and their movies, and one for coming movies."""
    days: dict[date, dict[int, list[_Shown]]] = defaultdict(lambda: defaultdict(list))
    movies = set[int]()
    # Model objects of the screenings and their halls took a fifth of the time.
    for row in programme_screenings(query).values_list(*COLUMNS):
        shown = dict(zip(ScreeningOut.model_fields, row, strict=True))
        movies.add(shown["movie_id"])
        day = cinema_day(shown["starts_at"])
        shown["starts_at"] = local_isoformat(shown["starts_at"])
        shown["ends_at"] = local_isoformat(shown["ends_at"])
        days[day][shown["movie_id"]].append(shown)
    cards = snapshot.cards(movies)
    body = orjson.dumps(
        {
            "from": query.first,
            "to": query.last,
            "days": [
                {
                    "date": day,
                    "movies": [
                        _with_screenings(cards[movie_id].json, screenings)
                        for movie_id, screenings in days[day].items()
                        if movie_id in cards  # else it was withdrawn between the queries
                    ],
                }
                for day in (
                    query.first + timedelta(days=n)
                    for n in range((query.last - query.first).days + 1)
                )
            ],
            "coming_up": [orjson.Fragment(snapshot.card(m).json) for m in coming_up(query)],
        }
    )
    return Document(body)


def _with_screenings(movie: bytes, screenings: list[_Shown]) -> orjson.Fragment:
    return orjson.Fragment(b'%b,"screenings":%b}' % (movie[:-1], orjson.dumps(screenings)))


def coming_up(query: ProgrammeQuery) -> list[Movie]:
    """Movies that are coming up; none with a filter that only screenings can match."""
    if query.hall is not None or query.tags or query.subtitles is not None:
        return []
    if query.status not in (None, Movie.Status.COMING_UP):
        return []
    movies = Movie.objects.published().filter(
        given(pk=query.movie_id, genres__slug=query.genre), status=Movie.Status.COMING_UP
    )
    if query.language is not None:
        movies = movies.filter(language_filter("original_language", query.language))
    if query.understands:
        movies = movies.filter(language_filter("original_language", NO_WORDS, *query.understands))
    return catalogue.set_genres(movies.order_by("start_date", "id")[:MAX_COMING_UP])


#: Builds the document of a part of the programme.
Builder = Callable[[ProgrammeQuery, Snapshot], Document]

#: The programme is not in Valkey: it is served whether Valkey is there or not.
PROGRAMME = CacheKind("programme", lambda: math.inf, memory_share=0.4, is_counted=False)
#: The documents that the cinema's page links to stay, however many others are asked for.
LINKED = CacheKind("linked programme", lambda: math.inf, entries=32, is_counted=False)


def programme_response(
    build: Builder, query: ProgrammeQuery, kind: CacheKind | None = None
) -> HttpResponse:
    """Return the document as a response, built once for each change and process."""
    return snapshot_response(kind or _kind(query), (build, query), partial(build, query))


def this_week(build: Builder) -> Callable[[HttpRequest], HttpResponse]:
    """Answer a request without parameters, for `skip_parameter_parsing`."""
    return lambda request: programme_response(build, ProgrammeQuery.of_days(DEFAULT_DAYS), LINKED)


def snapshot_response(
    kind: CacheKind, question: Hashable, build: Callable[[Snapshot], Document]
) -> HttpResponse:
    """Return a document that counts as long as the snapshot that it is built from."""
    current = catalogue.current()
    snapshot = current.snapshot
    version = None if current.stale else snapshot.key
    response = document_response(*responses.get(kind, question, version, partial(build, snapshot)))
    if version:
        response.repeatable = Repeatable(kind, catalogue.currency_check(current))
    return response


def snapshot_document(snapshot: Snapshot, build: Builder, query: ProgrammeQuery) -> Document:
    """Return the document for one that is built from it and from the same snapshot."""
    return responses.get_current(
        _kind(query), (build, query), snapshot.key, partial(build, query, snapshot)
    )


def _kind(query: ProgrammeQuery) -> CacheKind:
    return LINKED if query.is_linked() else PROGRAMME
