"""Films like a film: as the last night found them, or for one that it did not know as found now.

Then come films that are made of the same, for what is still open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import orjson
from django.conf import settings
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse

from cinema.answers.kinds import Kind
from cinema.http import Document
from movies import selectors as movies
from movies.answers import answer
from movies.models import Movie
from movies.schemas import MovieOut
from recommendations.engine.evaluation import top_items
from recommendations.engine.relating import LEAST_COSINE
from recommendations.lists.reasons import REASONS_EACH, Reason
from recommendations.loading import LoadedRelease, current_release
from recommendations.makings import CONTENT, faint_reasons, films_made_alike, reasons_of_makings
from recommendations.models import SimilarMovies

SIMILAR = Kind("similar", lambda: settings.SIMILAR_LIFETIME_S, places=1024)

#: So many more than asked for are looked at, as some may have been withdrawn since the training.
MARGIN = 40
BLEND = "blend"
LIKED_ALIKE = Reason("viewers", "Liked by the same viewers")


@dataclass(frozen=True)
class Alike:
    """A film, how much it is like the one that is asked for, and who says so."""

    movie_id: int
    score: float
    source: str

    @property
    def is_liked_alike(self) -> bool:
        return self.source != CONTENT


def similar_movies(
    request: HttpRequest, movie_id: int, limit: int, *, with_movies: bool
) -> HttpResponse:
    """Up to `limit` films like this one, with reasons, in the form of `SimilarListOut`.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    question = {"id": movie_id, "limit": limit, "with_movies": with_movies}
    build = partial(_document, movie_id, limit, with_movies=with_movies)
    # A night raises the catalogue's version.
    return answer(request, SIMILAR, question, build, beside=lambda: str(current_release().id))


def _document(movie_id: int, limit: int, *, with_movies: bool) -> Document:
    release = current_release()
    movie = movies.get_movie(movie_id)
    prefetch_related_objects([movie], "genres")
    found_by, found = _stored(release, movie) or (release.id, _liked_alike(release, movie, limit))
    shown = _shown(found)[:limit]
    if len(shown) < limit:
        others = films_made_alike(movie, besides=[film.pk for film, _ in shown])
        shown += _shown([Alike(*each, CONTENT) for each in others[: limit - len(shown)]])
    data = [
        {
            **(MovieOut.of(film).model_dump(mode="json") if with_movies else {"movie_id": film.pk}),
            "score": round(alike.score, 4),
            "source": alike.source,
            "reasons": _reasons(alike, movie, film),
        }
        for film, alike in shown
    ]
    return Document(orjson.dumps({"release": found_by, "data": data}))


def _stored(release: LoadedRelease, movie: Movie) -> tuple[int | None, Sequence[Alike]] | None:
    """What the last night found, and by which release; None if it did not know the film.

    What it found by a release that staff have gone back behind since does not count, nor by none
    if there is one now.
    """
    row = SimilarMovies.objects.filter(movie=movie).first()
    if row is None or (row.release_id or 0) > (release.id or 0):
        return None
    if row.release_id is None and release.id is not None:
        return None
    rows = zip(row.others, row.scores, row.by_factors, row.by_content, strict=True)
    return row.release_id, [
        Alike(other, score, _source(row.algorithm, by_factors or 0, by_content or 0))
        for other, score, by_factors, by_content in rows
    ]


def _source(algorithm: str, by_factors: float, by_content: float) -> str:
    if by_factors < LEAST_COSINE:
        return CONTENT
    return BLEND if by_content else algorithm


def _liked_alike(release: LoadedRelease, movie: Movie, limit: int) -> Sequence[Alike]:
    """By the first model of the release that can tell, with its name."""
    item = int(release.items.indices([movie.pk])[0])
    if item < 0:
        return []
    for name, recommender in release.recommenders.items():
        likeness = recommender.similar_items(item)
        if likeness is None:
            continue
        top = top_items(likeness, exclude=np.array([item]), k=limit + MARGIN)
        ids, scores = release.items.ids[top].tolist(), likeness[top].tolist()
        return [
            Alike(pk, score, name)
            for pk, score in zip(ids, scores, strict=True)
            if score >= LEAST_COSINE
        ]
    return []


def _shown(found: Sequence[Alike]) -> list[tuple[Movie, Alike]]:
    """With their rows, in this order; what is not published is left out."""
    ids = [alike.movie_id for alike in found]
    films = Movie.objects.published().prefetch_related("genres").in_bulk(ids)
    return [(films[alike.movie_id], alike) for alike in found if alike.movie_id in films]


def _reasons(alike: Alike, movie: Movie, film: Movie) -> list[Reason]:
    by_viewers = [LIKED_ALIKE] if alike.is_liked_alike else []
    found = [*by_viewers, *reasons_of_makings(movie, film)][:REASONS_EACH]
    return found or faint_reasons(movie, film)
