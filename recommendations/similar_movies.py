"""Films like a film: as the last night found them, or for one that it did not know as found now.

Then come films that are made of the same, for what is still open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import orjson
from django.db import connection, transaction
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from numpy.typing import NDArray

from cinema.http import Document
from cinema.locks import retry_on_deadlock
from cinema.response_cache import CacheKind
from movies import catalogue
from movies import selectors as movies
from movies.cached_responses import cached_response
from movies.models import Movie
from movies.schemas import MovieOut
from recommendations.content_similarity import (
    CONTENT,
    Reason,
    content_reasons,
    films_alike_by_content,
    weak_content_reasons,
)
from recommendations.engine.matrices import IdMap
from recommendations.engine.ranking.candidates import top_items
from recommendations.engine.ranking.similar_items import (
    LEAST_COSINE,
    SimilarItems,
    content_unit_vectors,
    find_similar_items,
)
from recommendations.item_features import load_features
from recommendations.lists.reasons import REASONS_EACH
from recommendations.models import SimilarMovies
from recommendations.releases import LoadedRelease, loaded_release

SIMILAR_LIFETIME_S = 3600

#: The weight of content beside that of the viewers who like both movies.
CONTENT_SHARE = 0.1

SIMILAR = CacheKind("similar", lambda: SIMILAR_LIFETIME_S, memory_share=0.1, places=1024)

#: So many more than asked for are looked at, as some may have been withdrawn since the training.
MARGIN = 40
BLEND = "blend"
LIKED_ALIKE = Reason("viewers", "Liked by the same viewers")


@dataclass(frozen=True)
class SimilarMovie:
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
    return cached_response(
        request, SIMILAR, question, build, depends_on=lambda: loaded_release().id
    )


def _document(movie_id: int, limit: int, *, with_movies: bool) -> Document:
    release = loaded_release()
    movie = movies.get_movie(movie_id)
    prefetch_related_objects([movie], "genres")
    found_by, found = _stored(release, movie) or (release.id, _liked_alike(release, movie, limit))
    shown = _shown(found)[:limit]
    if len(shown) < limit:
        others = films_alike_by_content(movie, besides=[film.pk for film, _ in shown])
        shown += _shown([SimilarMovie(*each, CONTENT) for each in others[: limit - len(shown)]])
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


def _stored(
    release: LoadedRelease, movie: Movie
) -> tuple[int | None, Sequence[SimilarMovie]] | None:
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
        SimilarMovie(other, score, _source(row.algorithm, by_factors or 0, by_content or 0))
        for other, score, by_factors, by_content in rows
    ]


def _source(algorithm: str, by_factors: float, by_content: float) -> str:
    if by_factors < LEAST_COSINE:
        return CONTENT
    return BLEND if by_content else algorithm


def _liked_alike(release: LoadedRelease, movie: Movie, limit: int) -> Sequence[SimilarMovie]:
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
            SimilarMovie(pk, score, name)
            for pk, score in zip(ids, scores, strict=True)
            if score >= LEAST_COSINE
        ]
    return []


def _shown(found: Sequence[SimilarMovie]) -> list[tuple[Movie, SimilarMovie]]:
    """With their rows, in this order; what is not published is left out."""
    ids = [alike.movie_id for alike in found]
    films = Movie.objects.published().prefetch_related("genres").in_bulk(ids)
    return [(films[alike.movie_id], alike) for alike in found if alike.movie_id in films]


def _reasons(alike: SimilarMovie, movie: Movie, film: Movie) -> list[Reason]:
    by_viewers = [LIKED_ALIKE] if alike.is_liked_alike else []
    found = [*by_viewers, *content_reasons(movie, film)][:REASONS_EACH]
    return found or weak_content_reasons(movie, film)


log = logging.getLogger(__name__)

#: As many as `GET /movies/{id}/similar` can be asked for.
SIMILAR_EACH = 40
ROWS_AT_ONCE = 500

STAGE = """
CREATE TEMPORARY TABLE similar_stage AS
SELECT * FROM recommendations_similarmovies WITH NO DATA
"""
COPY = """
COPY similar_stage
    (movie_id, release_id, algorithm, others, scores, by_factors, by_content) FROM STDIN
"""
#: None is deleted before the commit; those that were deleted meanwhile have no row. It comes before
#: anything else is locked: who deletes a film may lock it before its row here.
HOLD = """
SELECT count(*) FROM (
    SELECT FROM movies_movie WHERE id IN (SELECT movie_id FROM similar_stage)
    ORDER BY id FOR KEY SHARE
) held
"""
FILL = """
INSERT INTO recommendations_similarmovies
    (movie_id, release_id, algorithm, others, scores, by_factors, by_content)
SELECT movie_id, release_id, algorithm, others, scores, by_factors, by_content
FROM similar_stage WHERE movie_id IN (SELECT id FROM movies_movie)
"""


def relate_films() -> int:
    """Find, for each published film, those most like it, and put them in place of last night's.

    Whoever reads finds the ones or the others whole. Returns of how many films.
    """
    films = Movie.objects.published().order_by("pk").values_list("pk", "rating_count")
    rows = np.array(list(films), dtype=np.int64).reshape(-1, 2)
    ids = IdMap(rows[:, 0].copy())
    release = loaded_release()
    algorithm, factors = _factors(release, ids)
    related = find_similar_items(
        factors,
        content_unit_vectors(load_features(ids)),
        rows[:, 1],
        share=CONTENT_SHARE,
        k=SIMILAR_EACH,
    )
    _store(ids, related, release.id, algorithm)
    return len(ids)


def _factors(release: LoadedRelease, ids: IdMap) -> tuple[str, NDArray[np.float32]]:
    """The name of the first model that has any, and the (n_films, d) directions of these films."""
    for name, recommender in release.recommenders.items():
        directions = recommender.item_directions()
        if directions is not None:
            places = release.items.indices(ids.ids)
            found = np.full((len(ids), directions.shape[1]), np.nan, dtype=np.float32)
            found[places >= 0] = directions[places[places >= 0]]
            return name, found
    return "", np.full((len(ids), 1), np.nan, dtype=np.float32)


@retry_on_deadlock
@transaction.atomic
def _store(ids: IdMap, related: SimilarItems, release_id: int | None, algorithm: str) -> None:
    lines = _lines(ids, related, "\\N" if release_id is None else str(release_id), algorithm)
    with connection.cursor() as cursor:
        cursor.execute(STAGE)
        with cursor.copy(COPY) as copy:
            while block := list(islice(lines, ROWS_AT_ONCE)):
                copy.write("".join(block))
        cursor.execute(HOLD)
        cursor.execute("DELETE FROM recommendations_similarmovies")
        cursor.execute(FILL)
        cursor.execute("DROP TABLE similar_stage")
    # What is kept of last night's answers was true then.
    catalogue.raise_version()


def _lines(ids: IdMap, related: SimilarItems, release: str, algorithm: str) -> Iterator[str]:
    """As COPY reads them."""
    for row, movie_id in enumerate(ids.ids.tolist()):
        count = int((related.items[row] >= 0).sum())
        others = ids.ids[related.items[row, :count]].tolist()
        numbers = (related.scores, related.by_factors, related.by_content)
        arrays = [_array(others), *(_array(of[row, :count].tolist()) for of in numbers)]
        yield "\t".join([str(movie_id), release, algorithm, *arrays]) + "\n"


def _array(values: Sequence[float]) -> str:
    shown = ("NULL" if value != value else f"{value:.6g}" for value in values)
    return f"{{{','.join(shown)}}}"
