"""From a folder's tags to the keywords of films that have none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from movies.models import Movie
from movies.search.text import fold, letters_of
from recommendations.movielens.files import Folder, Refusals
from recommendations.movielens.tags import tag_lines

#: Of a film. A famous one has thousands, most of which one viewer alone has given.
AT_MOST = 50

CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_tags (movie_id bigint, viewer integer, folded text, tag text)
"""
COPY = "COPY movielens_tags FROM STDIN"
# Of several spellings the most frequent one counts.
RANK = """
CREATE TEMPORARY TABLE movielens_keywords AS
SELECT movie_id, array_agg(tag ORDER BY place) AS keywords
FROM (
    SELECT movie_id, mode() WITHIN GROUP (ORDER BY tag COLLATE "C") AS tag,
           row_number() OVER (
               PARTITION BY movie_id
               ORDER BY count(DISTINCT viewer) DESC, folded COLLATE "C"
           ) AS place
    FROM movielens_tags GROUP BY movie_id, folded
) AS ranked
WHERE place <= %s GROUP BY movie_id
"""
# In the order of all writers.
LOCK = """
SELECT id FROM movies_movie WHERE id IN (SELECT movie_id FROM movielens_keywords)
ORDER BY id FOR NO KEY UPDATE
"""
FILL = """
UPDATE movies_movie AS film SET keywords = made.keywords, updated_at = now()
FROM movielens_keywords AS made WHERE film.id = made.movie_id AND film.keywords = '{}'
"""
DROP_STAGE = "DROP TABLE movielens_tags, movielens_keywords"


def fill_keywords(folder: Folder, movies: Mapping[int, int], refusals: Refusals) -> int:
    """Give films the tags that most viewers gave them; returns how many films got any.

    Films that have keywords keep them. The tags are never all in memory.

    Args:
        movies: The id of the movie by the film's number.
    """
    bare = set(Movie.objects.filter(keywords=[]).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        with cursor.copy(COPY) as copy:
            for tag in tag_lines(folder, movies, refusals):
                if (movie_id := movies[tag.film]) in bare:
                    copy.write_row((movie_id, tag.viewer, _folded(tag.text), tag.text))
        filled = _fill(cursor)
        cursor.execute(DROP_STAGE)
    return filled


def _fill(cursor: CursorWrapper) -> int:
    cursor.execute("SET LOCAL work_mem = '64MB'")
    cursor.execute(RANK, [AT_MOST])
    cursor.execute(LOCK)
    if not cursor.rowcount:  # triggers for each statement fire for no row too
        return 0
    cursor.execute(FILL)
    return int(cursor.rowcount)


@lru_cache(maxsize=100_000)
def _folded(tag: str) -> str:
    """Sci-Fi and sci fi are one."""
    return letters_of(tag) or fold(tag)
