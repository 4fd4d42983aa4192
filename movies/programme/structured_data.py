"""The programme as JSON-LD in the vocabulary of schema.org, for search engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.utils import timezone
from django.utils.encoding import iri_to_uri

from cinema.http import Document, absolute_url
from movies.catalogue import Snapshot
from movies.languages import canonical_tag_or_none
from movies.models import Movie, Screening
from movies.programme.selectors import ProgrammeQuery, list_programme_screenings
from movies.programme.texts import credit, describe_version, movie_theater
from movies.selectors import get_movie

CONTENT_TYPE = "application/ld+json"

#: The tags that name a projection format.
VIDEO_FORMATS = {
    tag.lower(): tag
    for tag in (
        "2D", "3D", "4D", "4DX", "4K", "8mm", "16mm", "35mm", "70mm", "DCP", "Dolby Atmos",
        "Dolby Cinema", "HD", "HFR", "IMAX", "IMAX 3D", "ScreenX", "Super 8",
    )
}  # fmt: skip

Node = dict[str, Any]


def build_structured_data(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    screenings = list_programme_screenings(query)
    movies = {screening.movie_id: screening.movie for screening in screenings}
    return _document(movies.values(), screenings, snapshot)


def build_movie_structured_data(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    """Raises: MovieNotFound: No published movie has the id `query.movie_id`."""
    assert query.movie_id is not None
    return _document([get_movie(query.movie_id)], list_programme_screenings(query), snapshot)


def _document(
    movies: Iterable[Movie], screenings: Sequence[Screening], snapshot: Snapshot
) -> Document:
    theater = movie_theater()
    nodes = {movie.pk: _movie(movie, snapshot) for movie in movies}
    events = [_event(screening, nodes[screening.movie_id], theater) for screening in screenings]
    graph = [theater, *nodes.values(), *events]
    body = orjson.dumps({"@context": "https://schema.org", "@graph": graph})
    return Document(_safe_in_html(body), CONTENT_TYPE)


def _safe_in_html(body: bytes) -> bytes:
    """Escape the characters that could end the enclosing `<script>`."""
    for character, escaped in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        body = body.replace(character, escaped)
    return body


def _movie(movie: Movie, snapshot: Snapshot) -> Node:
    shown = orjson.loads(snapshot.card(movie).json)
    rating = {
        "@type": "AggregateRating",
        "ratingValue": shown["rating_average"],
        "ratingCount": shown["rating_count"],
        "bestRating": 5,
        "worstRating": 0.5,
    }
    return _known(
        {
            "@type": "Movie",
            "@id": absolute_url(f"/api/v1/movies/{movie.pk}"),
            "name": movie.name,
            "description": movie.overview,
            "image": shown["poster"],
            "duration": f"PT{movie.runtime_minutes}M" if movie.runtime_minutes else None,
            "datePublished": str(movie.release_year) if movie.release_year else None,
            "inLanguage": canonical_tag_or_none(movie.original_language),
            "genre": [genre["name"] for genre in shown["genres"]],
            "director": _people(movie.directors),
            "actor": _people(movie.actors),
            "aggregateRating": rating if shown["rating_count"] else None,
            "sameAs": (
                f"https://www.themoviedb.org/movie/{movie.tmdb_id}" if movie.tmdb_id else None
            ),
            "creditText": credit(movie),
        }
    )


def _people(names: Iterable[str]) -> list[Node]:
    return [{"@type": "Person", "name": name} for name in names]


def _event(screening: Screening, movie: Node, theater: Node) -> Node:
    is_cancelled = screening.state == Screening.State.CANCELLED
    status = "EventCancelled" if is_cancelled else "EventScheduled"
    formats = [VIDEO_FORMATS[tag] for tag in screening.tags if tag in VIDEO_FORMATS]
    return _known(
        {
            "@type": "ScreeningEvent",
            "@id": absolute_url(f"/api/v1/screenings/{screening.pk}"),
            "identifier": str(screening.uid),
            "name": movie["name"],
            "description": f"{screening.hall.name}. {describe_version(screening)}.",
            "image": movie.get("image"),
            "startDate": timezone.localtime(screening.starts_at),
            "endDate": timezone.localtime(screening.ends_at),
            "eventStatus": f"https://schema.org/{status}",
            "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
            # Repeated, as some readers do not follow an @id.
            "location": theater,
            "workPresented": {key: movie[key] for key in ("@type", "@id", "name")},
            "inLanguage": canonical_tag_or_none(screening.spoken_language),
            "subtitleLanguage": canonical_tag_or_none(screening.subtitles),
            "videoFormat": ", ".join(formats),
            "keywords": ", ".join(screening.tags),
            "offers": None if is_cancelled else _offer(screening),
        }
    )


def _offer(screening: Screening) -> Node | None:
    if not screening.booking_url:
        return None
    availability = "SoldOut" if screening.state == Screening.State.SOLD_OUT else "InStock"
    return {
        "@type": "Offer",
        "url": iri_to_uri(screening.booking_url),
        "availability": f"https://schema.org/{availability}",
    }


def _known(node: Node) -> Node:
    """The node without empty values."""
    return {key: value for key, value in node.items() if value}
