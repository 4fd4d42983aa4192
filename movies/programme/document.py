"""The programme as bytes: what runs when, by the cinema's own days."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import orjson

from cinema.http import Document
from movies.catalogue import Snapshot
from movies.days import cinema_day
from movies.languages import NO_WORDS, within
from movies.models import Movie, Screening
from movies.programme.query import ProgrammeQuery, screenings_of
from movies.screenings.schemas import ScreeningOut

MAX_COMING_UP = 100


def build_programme(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    """Three queries for the screenings and their movies, two for what is coming up."""
    days: dict[date, dict[int, list[Screening]]] = defaultdict(lambda: defaultdict(list))
    movies: dict[int, Movie] = {}
    for screening in screenings_of(query):
        movies[screening.movie_id] = screening.movie
        days[cinema_day(screening.starts_at)][screening.movie_id].append(screening)
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
            "coming_up": [orjson.Fragment(snapshot.card(m).json) for m in coming_up(query)],
        }
    )
    return Document(body)


def _with_screenings(movie: bytes, screenings: list[Screening]) -> orjson.Fragment:
    shown = b",".join(_shown(screening) for screening in screenings)
    return orjson.Fragment(b'%b,"screenings":[%b]}' % (movie[:-1], shown))


def _shown(screening: Screening) -> bytes:
    """As the API shows it, without validating what the database vouches for: twice as fast."""
    fields = {name: getattr(screening, name) for name in ScreeningOut.model_fields}
    fields["hall"] = screening.hall.name
    return ScreeningOut.model_construct(**fields).model_dump_json().encode()


def coming_up(query: ProgrammeQuery) -> list[Movie]:
    """A movie without a screening has no hall, tag or subtitles: a filter by these leaves none."""
    if query.hall is not None or query.tags or query.subtitles is not None:
        return []
    if query.status not in (None, Movie.Status.COMING_UP):
        return []
    movies = Movie.objects.published().filter(status=Movie.Status.COMING_UP)
    if query.movie_id is not None:
        movies = movies.filter(pk=query.movie_id)
    if query.genre is not None:
        movies = movies.filter(genres__slug=query.genre)
    if query.language is not None:
        movies = movies.filter(within("original_language", query.language))
    if query.understands:
        movies = movies.filter(within("original_language", NO_WORDS, *query.understands))
    ordered = movies.order_by("start_date", "id").prefetch_related("genres")
    return list(ordered[:MAX_COMING_UP])
