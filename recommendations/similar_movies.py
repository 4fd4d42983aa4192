"""Similar movies: found for all movies by night, and served with reasons.

A movie that is new since the night gets those that a model finds now. Movies with similar content
fill the places that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

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
from recommendations.engine.ranking.reranking import top_items
from recommendations.engine.ranking.similar_items import (
    MIN_COSINE,
    SimilarItems,
    content_unit_vectors,
    find_similar_items,
)
from recommendations.feature_builder import load_features
from recommendations.lists.reasons import REASONS_EACH
from recommendations.models import SimilarMovies
from recommendations.releases import LoadedRelease, loaded_release
from recommendations.spark.cluster import block_runner

SIMILAR_LIFETIME_S = 3600

#: The weight of content beside that of the viewers who like both movies.
CONTENT_SHARE = 0.1

SIMILAR = CacheKind("similar", lambda: SIMILAR_LIFETIME_S, memory_share=0.1, places=1024)

#: Movies that are looked up beyond the limit, as some may have been withdrawn since the training.
MARGIN = 40
#: The most that `GET /movies/{id}/similar` can be asked for.
SIMILAR_EACH = 40
BLEND = "blend"
LIKED_ALIKE = Reason("viewers", "Liked by the same viewers")


@dataclass(frozen=True)
class SimilarMovie:
    """A movie, its similarity to the one that is asked for, and the source of that."""

    movie_id: int
    score: float
    source: str


def similar_movies(
    request: HttpRequest, movie_id: int, limit: int, *, with_movies: bool
) -> HttpResponse:
    """Up to `limit` similar movies with reasons, in the form of `SimilarListOut`.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    question = {"id": movie_id, "limit": limit, "with_movies": with_movies}
    build = partial(_document, movie_id, limit, with_movies=with_movies)
    # The night raises the catalogue's version.
    return cached_response(
        request, SIMILAR, question, build, depends_on=lambda: loaded_release().id
    )


def _document(movie_id: int, limit: int, *, with_movies: bool) -> Document:
    release = loaded_release()
    movie = movies.get_movie(movie_id)
    prefetch_related_objects([movie], "genres")
    found_by, found = _stored(release, movie) or (release.id, _by_model(release, movie, limit))
    published = _published(found)[:limit]
    if len(published) < limit:
        others = films_alike_by_content(movie, besides=[other.pk for other, _ in published])
        missing = limit - len(published)
        published += _published([SimilarMovie(*each, CONTENT) for each in others[:missing]])
    data = [
        {
            **(
                MovieOut.of(other).model_dump(mode="json")
                if with_movies
                else {"movie_id": other.pk}
            ),
            "score": round(similar.score, 4),
            "source": similar.source,
            "reasons": _reasons(similar, movie, other),
        }
        for other, similar in published
    ]
    return Document(orjson.dumps({"release": found_by, "data": data}))


def _stored(
    release: LoadedRelease, movie: Movie
) -> tuple[int | None, Sequence[SimilarMovie]] | None:
    """The movies that the last night found, and its release; None if it did not know the movie.

    They do not count if staff have gone back to an older release since, or if there was none.
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
    if by_factors < MIN_COSINE:
        return CONTENT
    return BLEND if by_content else algorithm


def _by_model(release: LoadedRelease, movie: Movie, limit: int) -> Sequence[SimilarMovie]:
    """The movies that the first model with similarities finds."""
    item = int(release.items.indices([movie.pk])[0])
    if item < 0:
        return []
    for name, recommender in release.recommenders.items():
        similarities = recommender.similar_items(item)
        if similarities is None:
            continue
        top = top_items(similarities, exclude=np.array([item]), k=limit + MARGIN)
        ids, scores = release.items.ids[top].tolist(), similarities[top].tolist()
        return [
            SimilarMovie(pk, score, name)
            for pk, score in zip(ids, scores, strict=True)
            if score >= MIN_COSINE
        ]
    return []


def _published(found: Sequence[SimilarMovie]) -> list[tuple[Movie, SimilarMovie]]:
    """The published ones in this order, with their rows."""
    ids = [similar.movie_id for similar in found]
    rows = Movie.objects.published().prefetch_related("genres").in_bulk(ids)
    return [(rows[similar.movie_id], similar) for similar in found if similar.movie_id in rows]


def _reasons(similar: SimilarMovie, movie: Movie, other: Movie) -> list[Reason]:
    by_viewers = [LIKED_ALIKE] if similar.source != CONTENT else []
    found = [*by_viewers, *content_reasons(movie, other)][:REASONS_EACH]
    return found or weak_content_reasons(movie, other)


# --- by night

COLUMNS = "movie_id, release_id, algorithm, others, scores, by_factors, by_content"
STAGE = """
CREATE TEMPORARY TABLE similar_stage AS
SELECT * FROM recommendations_similarmovies WITH NO DATA
"""
#: Movies that were deleted meanwhile get no row, and none is deleted before the commit. It runs
#: before any other lock: a deletion may lock the movie before its row here.
HOLD = """
SELECT count(*) FROM (
    SELECT FROM movies_movie WHERE id IN (SELECT movie_id FROM similar_stage)
    ORDER BY id FOR KEY SHARE
) held
"""
FILL = f"""
INSERT INTO recommendations_similarmovies ({COLUMNS})
SELECT {COLUMNS} FROM similar_stage WHERE movie_id IN (SELECT id FROM movies_movie)
"""  # noqa: S608 - our own names


def find_similar_movies() -> int:
    """Replace the similar movies of all published movies; returns the number of movies."""
    movies_rated = Movie.objects.published().order_by("pk").values_list("pk", "rating_count")
    rows = np.array(list(movies_rated), dtype=np.int64).reshape(-1, 2)
    ids = IdMap(rows[:, 0].copy())
    release = loaded_release()
    algorithm, factors = _factors(release, ids)
    with block_runner() as run:
        similar = find_similar_items(
            factors,
            content_unit_vectors(load_features(ids)),
            rows[:, 1],
            share=CONTENT_SHARE,
            k=SIMILAR_EACH,
            run=run,
        )
    _store(ids, similar, release.id, algorithm)
    return len(ids)


def _factors(release: LoadedRelease, ids: IdMap) -> tuple[str, NDArray[np.float32]]:
    """The first model with item factors, and the (n_movies, d) directions; NaN for unknown ones."""
    for name, recommender in release.recommenders.items():
        directions = recommender.item_directions()
        if directions is not None:
            items = release.items.indices(ids.ids)
            found = np.full((len(ids), directions.shape[1]), np.nan, dtype=np.float32)
            found[items >= 0] = directions[items[items >= 0]]
            return name, found
    return "", np.full((len(ids), 1), np.nan, dtype=np.float32)


@retry_on_deadlock
@transaction.atomic
def _store(ids: IdMap, similar: SimilarItems, release_id: int | None, algorithm: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(STAGE)
        with cursor.copy(f"COPY similar_stage ({COLUMNS}) FROM STDIN") as copy:
            for row, movie_id in enumerate(ids.ids.tolist()):
                count = int((similar.items[row] >= 0).sum())
                others = ids.ids[similar.items[row, :count]].tolist()
                numbers = (similar.scores, similar.by_factors, similar.by_content)
                arrays = (_without_nan(of[row, :count].tolist()) for of in numbers)
                copy.write_row((movie_id, release_id, algorithm, others, *arrays))
        cursor.execute(HOLD)
        cursor.execute("DELETE FROM recommendations_similarmovies")
        cursor.execute(FILL)
        cursor.execute("DROP TABLE similar_stage")
    # The new version ends the cached answers of the night before.
    catalogue.raise_version()


def _without_nan(values: Sequence[float]) -> list[float | None]:
    return [None if value != value else value for value in values]
