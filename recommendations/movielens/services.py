"""The import of a whole folder: all films at once, then the ratings block by block."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain, count
from operator import itemgetter

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Lower

from cinema.locks import retry_at_once
from movies import catalogue
from movies.importing.matching import FilmMatcher, WantedFilm
from movies.importing.plan import ImportPlan, lower_names
from movies.importing.schemas import GenreKey, MovieRow
from movies.importing.services import write
from movies.metadata import UNKNOWN
from movies.models import Movie
from movies.scheduled_updates import renew_community_scores
from movies.search.index import index_stale_movies
from movies.search.text import fold, letters_of
from recommendations.movielens.files import (
    Folder,
    MovieLensFilm,
    RefusedLines,
    Tag,
    read_films,
    read_tags,
)
from recommendations.movielens.ratings import RatingReader, merge_ratings

MOVIES_AT_ONCE = 5_000
#: A famous film has thousands of tags, most of them from a single viewer.
MAX_KEYWORDS = 50
#: Receives the numbers of lines and bytes of ratings that are imported.
OnProgress = Callable[[int, int], None]


def import_folder(
    folder: Folder, *, limit: int | None, tell: Callable[[str], None], on_progress: OnProgress
) -> str:
    """Import the films, viewers and ratings that are missing; repeating it changes nothing.

    Each block of ratings is a transaction, so a repeated import continues an interrupted one.

    Args:
        limit: The number of lines of ratings to read; by default all.
        tell: Receives a line of text for the first lines that are refused.

    Returns:
        A sentence with the counts; a rating that a later line replaces counts as unchanged.
    """
    started_at = time.monotonic()
    refused = RefusedLines(tell)
    films = read_films(folder, refused)
    movie_ids, n_created = find_or_create_movies(films)
    described = fill_keywords(read_tags(folder, movie_ids, refused), movie_ids)
    index_stale_movies()
    n_viewers, count = _import_ratings(folder, movie_ids, refused, limit, on_progress)
    if count["created"]:
        # An embedded Postgres may stop before autovacuum analyses the tables.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE recommendations_interaction, movies_movie, users_user")
    if (count["created"] or count["updated"]) and not renew_community_scores():
        catalogue.raise_version()  # mean ratings change without raising it
    refused.tell_rest()
    unit = "film" if described == 1 else "films"
    tags = f"Keywords from tags: {described:,} {unit}. " if described else ""
    long_tags = f"Tags too long for a keyword: {refused.n_long_tags:,}. "
    return (
        f"Films: {n_created:,} created, {len(films) - n_created:,} known. {tags}"
        f"Viewers: {count['viewers_created']:,} created, "
        f"{n_viewers - count['viewers_created']:,} known. "
        f"Ratings: {count['created']:,} created, {count['updated']:,} updated, "
        f"{count['unchanged']:,} unchanged. "
        f"Lines refused: {refused.count:,}. {long_tags if refused.n_long_tags else ''}"
        f"{time.monotonic() - started_at:.1f} s."
    )


def _import_ratings(
    folder: Folder,
    movie_ids: dict[int, int],
    refused: RefusedLines,
    limit: int | None,
    on_progress: OnProgress,
) -> tuple[int, Counter[str]]:
    """Return the number of viewers, and the counts of `merge_ratings`."""
    numbers = np.array(sorted(movie_ids), dtype=np.int64)
    ids = np.array([movie_ids[number] for number in numbers.tolist()], dtype=np.int64)
    viewers: set[int] = set()
    count: Counter[str] = Counter()
    reader = RatingReader(folder, numbers, refused)
    for rows in reader.blocks(limit):
        rows[:, 1] = ids[rows[:, 1]]
        viewer_ids, merged = merge_ratings(rows)
        viewers.update(viewer_ids)
        count.update(merged)
        on_progress(reader.n_lines, reader.n_bytes)
    return len(viewers), count


# Another request may create a movie of the same name meanwhile.
@retry_at_once(IntegrityError)
@transaction.atomic
def find_or_create_movies(films: Sequence[MovieLensFilm]) -> tuple[dict[int, int], int]:
    """Return the id of each film's movie, by movieId, and the number of new movies.

    All movies are written or none. Movies of the catalogue, withdrawn ones too, stay as they are.
    """
    # Read before the films are matched: a movie posted later collides, and is found next time.
    taken = set(Movie.objects.values_list(Lower("name"), "start_date"))
    movie_ids = _find_movies(films)
    rows = list(_new_rows([film for film in films if film.number not in movie_ids], taken))
    for start in range(0, len(rows), MOVIES_AT_ONCE):
        plan, batch = ImportPlan(), rows[start : start + MOVIES_AT_ONCE]
        plan.load(batch)
        created = [plan.create(row) for row in batch]
        write(plan)
        movie_ids |= {each.row: each.movie.pk for each in created}
    return movie_ids, len(rows)


def _find_movies(films: Sequence[MovieLensFilm]) -> dict[int, int]:
    """Match each film with another movie; the surest matches of all films go first."""
    wanted = [WantedFilm((film.name,), film.start_date.year, film.tmdb_id) for film in films]
    matcher = FilmMatcher()
    matches = [
        (surety, place, movie.pk)
        for place, each in enumerate(wanted)
        for movie, surety in matcher.candidates(each).items()
    ]
    found: dict[int, int] = {}
    used: set[int] = set()
    for _, place, movie_id in sorted(matches, key=itemgetter(0, 1)):
        number = films[place].number
        if number not in found and movie_id not in used:
            found[number] = movie_id
            used.add(movie_id)
    return found


def _new_rows(films: Sequence[MovieLensFilm], taken: set[tuple[str, date]]) -> Iterator[MovieRow]:
    """Call the second movie of one name and start date " (2)"."""
    lower = lower_names(film.name for film in films)
    genres = {
        name: GenreKey(name=name) for name in {each for film in films for each in film.genres}
    }
    for film in films:
        start = film.start_date
        suffixes = chain([""], (f" ({number})" for number in count(2)))
        suffix = next(each for each in suffixes if (lower[film.name] + each, start) not in taken)
        taken.add((lower[film.name] + suffix, start))
        fields = {
            "name": film.name + suffix,
            "protagonists": [UNKNOWN],
            "start_date": start,
            "release_year": film.release_year,
            "tmdb_id": film.tmdb_id,
            "genres": [genres[name] for name in film.genres],
        }
        yield MovieRow(film.number, fields)


CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_tags (movie_id bigint, viewer integer, folded text, tag text)
"""
COPY = "COPY movielens_tags FROM STDIN"
# The most frequent of several spellings counts. The movies are locked in the order of all writers.
FILL = """
WITH ranked AS (
    SELECT movie_id, mode() WITHIN GROUP (ORDER BY tag COLLATE "C") AS tag,
           row_number() OVER (
               PARTITION BY movie_id
               ORDER BY count(DISTINCT viewer) DESC, folded COLLATE "C"
           ) AS place
    FROM movielens_tags GROUP BY movie_id, folded
), made AS (
    SELECT movie_id, array_agg(tag ORDER BY place) AS keywords
    FROM ranked WHERE place <= %s GROUP BY movie_id
), held AS (
    SELECT id FROM movies_movie WHERE id IN (SELECT movie_id FROM movielens_tags)
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE movies_movie AS film SET keywords = made.keywords, updated_at = now()
FROM made JOIN held ON held.id = made.movie_id
WHERE film.id = made.movie_id AND film.keywords = '{}'
"""
DROP_STAGE = "DROP TABLE movielens_tags"


def fill_keywords(tags: Iterable[Tag], movie_ids: Mapping[int, int]) -> int:
    """Make keywords of the most frequent tags; returns how many movies got any.

    Movies with keywords keep them. The tags are never all in memory.

    Args:
        movie_ids: By movieId.
    """
    bare = set(Movie.objects.filter(keywords=[]).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        n_tags = 0
        with cursor.copy(COPY) as copy:
            for tag in tags:
                if (movie_id := movie_ids[tag.film]) in bare:
                    copy.write_row((movie_id, tag.viewer, _folded(tag.text), tag.text))
                    n_tags += 1
        filled = 0
        if n_tags:  # statement triggers fire for no row too
            cursor.execute("ANALYZE movielens_tags")
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute(FILL, [MAX_KEYWORDS])
            filled = cursor.rowcount
        cursor.execute(DROP_STAGE)
    return filled


@lru_cache(maxsize=100_000)
def _folded(tag: str) -> str:
    """Fold "Sci-Fi" and "sci fi" to the same text."""
    return letters_of(tag) or fold(tag)
