"""Films like a film: those that the same viewers liked, then those that are made of the same.

The second is for a film that the release does not know, and for what the first leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from recommendations.lists.reasons import REASONS_EACH, Reason
from recommendations.loading import LoadedRelease, current_release
from recommendations.makings import CONTENT, films_made_alike, reasons_of_makings

SIMILAR = Kind("similar", lambda: settings.SIMILAR_LIFETIME_S, places=1024)

#: Films that point less alike than this are liked by other viewers rather than by the same ones.
LEAST_COSINE = 0.2
#: So many more than asked for are looked at, as some may have been withdrawn since the training.
MARGIN = 40
LIKED_ALIKE = Reason("viewers", "Liked by the same viewers")

#: A film, how much it is like the one that is asked for, and who says so.
Listed = tuple[Movie, float, str]


def similar_movies(request: HttpRequest, movie_id: int, limit: int) -> HttpResponse:
    """Up to `limit` films like this one, with reasons, in the form of `SimilarListOut`.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    question = {"id": movie_id, "limit": limit}
    build = partial(_document, movie_id, limit)
    return answer(request, SIMILAR, question, build, beside=lambda: str(current_release().id))


def _document(movie_id: int, limit: int) -> Document:
    release = current_release()
    movie = movies.get_movie(movie_id)
    prefetch_related_objects([movie], "genres")
    listed = _liked_alike(release, movie, limit)
    if len(listed) < limit:
        others = films_made_alike(movie, besides=[film.pk for film, *_ in listed])
        listed += _shown(CONTENT, others[: limit - len(listed)])
    data = [
        {
            **MovieOut.of(film).model_dump(mode="json"),
            "score": round(score, 4),
            "source": source,
            "reasons": _reasons(source, movie, film),
        }
        for film, score, source in listed
    ]
    return Document(orjson.dumps({"release": release.id, "data": data}))


def _liked_alike(release: LoadedRelease, movie: Movie, limit: int) -> list[Listed]:
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
        alike = [
            (pk, score) for pk, score in zip(ids, scores, strict=True) if score >= LEAST_COSINE
        ]
        return _shown(name, alike)[:limit]
    return []


def _shown(source: str, found: Sequence[tuple[int, float]]) -> list[Listed]:
    """With their rows, in this order; what is not published is left out."""
    films = Movie.objects.published().prefetch_related("genres").in_bulk([pk for pk, _ in found])
    return [(films[pk], score, source) for pk, score in found if pk in films]


def _reasons(source: str, movie: Movie, film: Movie) -> list[Reason]:
    by_viewers = [] if source == CONTENT else [LIKED_ALIKE]
    return [*by_viewers, *reasons_of_makings(movie, film)][:REASONS_EACH]
