"""The night's work: of each film those most like it, by the release's factors and by content."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from numpy.typing import NDArray

from cinema.locks import again_after_deadlock
from movies import catalogue
from movies.models import Movie
from recommendations.engine.ids import IdMap
from recommendations.engine.relating import Related, content_directions, relate_items
from recommendations.features import load_features
from recommendations.loading import LoadedRelease, current_release

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
    release = current_release()
    algorithm, factors = _factors(release, ids)
    related = relate_items(
        factors,
        content_directions(load_features(ids)),
        rows[:, 1],
        share=settings.SIMILAR_CONTENT_SHARE,
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


@again_after_deadlock
@transaction.atomic
def _store(ids: IdMap, related: Related, release_id: int | None, algorithm: str) -> None:
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


def _lines(ids: IdMap, related: Related, release: str, algorithm: str) -> Iterator[str]:
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
