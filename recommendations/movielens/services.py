"""The import of a whole folder: all films at once, then the ratings block by block."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass
class ImportSummary:
    """Counts; a rating that a later line replaces counts as unchanged."""

    films_created: int = 0
    films_known: int = 0
    films_described: int = 0
    viewers_created: int = 0
    viewers_known: int = 0
    ratings_created: int = 0
    ratings_updated: int = 0
    ratings_unchanged: int = 0
    refused: int = 0
    long_tags: int = 0
    seconds: float = 0

    def __str__(self) -> str:
        told = self.films_described
        tags = f"Keywords from tags: {told:,} {'film' if told == 1 else 'films'}. " if told else ""
        long_tags = f"Tags too long for a keyword: {self.long_tags:,}. " if self.long_tags else ""
        return (
            f"Films: {self.films_created:,} created, {self.films_known:,} known. {tags}"
            f"Viewers: {self.viewers_created:,} created, {self.viewers_known:,} known. "
            f"Ratings: {self.ratings_created:,} created, {self.ratings_updated:,} updated, "
            f"{self.ratings_unchanged:,} unchanged. "
            f"Lines refused: {self.refused:,}. {long_tags}{self.seconds:.1f} s."
        )


def import_folder(
    folder: Folder, *, limit: int | None, tell: Callable[[str], None], on_progress: OnProgress
) -> ImportSummary:
    """Import the films, viewers and ratings that are missing; repeating it changes nothing.

    Each block of ratings is a transaction, so a repeated import continues an interrupted one.

    Args:
        limit: The number of lines of ratings to read; by default all.
        tell: Receives a line of text for the first lines that are refused.
    """
    started_at = time.monotonic()
    refused = RefusedLines(tell)
    films = read_films(folder, refused)
    movie_ids, n_created = find_or_create_movies(films)
    described = fill_keywords(read_tags(folder, movie_ids, refused), movie_ids)
    index_stale_movies()
    summary = ImportSummary(n_created, len(films) - n_created, described)
    _import_ratings(folder, movie_ids, refused, summary, limit, on_progress)
    if summary.ratings_created:
        # An embedded Postgres may stop before autovacuum analyses the tables.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE recommendations_interaction, movies_movie, users_user")
    if (summary.ratings_created or summary.ratings_updated) and not renew_community_scores():
        catalogue.raise_version()  # mean ratings change without raising it
    refused.tell_rest()
    summary.refused, summary.long_tags = refused.count, refused.n_long_tags
    summary.seconds = time.monotonic() - started_at
    return summary


def _import_ratings(
    folder: Folder,
    movie_ids: dict[int, int],
    refused: RefusedLines,
    summary: ImportSummary,
    limit: int | None,
    on_progress: OnProgress,
) -> None:
    numbers = np.array(sorted(movie_ids), dtype=np.int64)
    ids = np.array([movie_ids[number] for number in numbers.tolist()], dtype=np.int64)
    viewers: set[int] = set()
    n_lines = n_bytes = 0
    for block in RatingReader(folder, numbers, refused).blocks(limit):
        rows = block.rows
        rows[:, 1] = ids[rows[:, 1]]
        merged = merge_ratings(rows)
        viewers.update(merged.viewers)
        summary.viewers_created += merged.viewers_created
        summary.ratings_created += merged.created
        summary.ratings_updated += merged.updated
        summary.ratings_unchanged += merged.unchanged
        n_lines, n_bytes = n_lines + block.n_lines, n_bytes + block.n_bytes
        on_progress(n_lines, n_bytes)
    summary.viewers_known = len(viewers) - summary.viewers_created
