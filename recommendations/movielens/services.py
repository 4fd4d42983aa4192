"""The import of a whole folder: all films at once, then the ratings block by block."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from django.db import connection

from movies import catalogue
from movies.scheduled_updates import renew_community_scores
from movies.search.index import index_stale_movies
from recommendations.movielens.catalogue import fill_keywords, find_or_create_movies
from recommendations.movielens.files import Folder, RefusedLines
from recommendations.movielens.films import read_films, read_tags
from recommendations.movielens.ratings import RatingReader, merge_ratings

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
    n_lines = n_bytes = 0
    for block in RatingReader(folder, numbers, refused).blocks(limit):
        rows = block.rows
        rows[:, 1] = ids[rows[:, 1]]
        viewer_ids, merged = merge_ratings(rows)
        viewers.update(viewer_ids)
        count.update(merged)
        n_lines, n_bytes = n_lines + block.n_lines, n_bytes + block.n_bytes
        on_progress(n_lines, n_bytes)
    return len(viewers), count
