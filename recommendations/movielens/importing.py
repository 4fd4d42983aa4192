"""A whole folder: its films at once, then its ratings chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db import connection

from movies import catalogue
from movies.scheduled_updates import renew_community_scores
from movies.search.index import index_stale_movies
from recommendations.movielens.catalogue import find_or_create_movies
from recommendations.movielens.files import Folder, LineRefused, Refusals, numbered_lines
from recommendations.movielens.films import read_films
from recommendations.movielens.keywords import fill_keywords
from recommendations.movielens.merging import merge_ratings
from recommendations.movielens.ratings import RatingParser

#: So many lines of ratings are a transaction. Each one updates most movies, whatever its size, so
#: small ones are slow: 170,000 lines took half as long again for a rating.
CHUNK = 500_000
#: How far ahead of ours the clock of whoever rated may be.
TOLERANCE_S = 24 * 3600

#: Is told how many lines and how many bytes of ratings have been dealt with.
Watch = Callable[[int, int], None]


@dataclass
class Summary:
    """What an import did; a rating that another line of the file outdates counts as unchanged."""

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
    folder: Folder, *, limit: int | None, tell: Callable[[str], None], watch: Watch
) -> Summary:
    """Bring in what the catalogue and the viewers lack. Repeated, it changes nothing.

    Each chunk of ratings is a transaction, so an import that was interrupted goes on when it is
    repeated. Of the ratings only a few thousand are in memory at a time.

    Args:
        limit: Read only so many lines of ratings.
        tell: Gets a line of text for the first lines that are refused.
    """
    started_at = time.monotonic()
    refusals = Refusals(tell)
    films = read_films(folder, refusals)
    catalogued = find_or_create_movies(films)
    described = fill_keywords(folder, catalogued.ids, refusals)
    index_stale_movies()
    known = len(films) - catalogued.created
    summary = Summary(catalogued.created, known, described)
    lines = _Lines(folder, limit, refusals)
    parser = RatingParser(catalogued.ids, folder.separator, int(time.time()) + TOLERANCE_S)
    viewers: set[int] = set()
    while lines.are_left:
        merged = merge_ratings(lines.next_rows(parser))
        viewers.update(merged.viewers)
        summary.viewers_created += merged.viewers_created
        summary.ratings_created += merged.created
        summary.ratings_updated += merged.updated
        summary.ratings_unchanged += merged.unchanged
        watch(lines.read, lines.read_bytes)
    if summary.ratings_created:
        _let_the_planner_know()
    if (summary.ratings_created or summary.ratings_updated) and not renew_community_scores():
        catalogue.raise_version()  # the films' mean ratings, which raise none by themselves
    refusals.tell_the_rest()
    summary.viewers_known = len(viewers) - summary.viewers_created
    summary.refused = refusals.count
    summary.long_tags = refusals.long_tags
    summary.seconds = time.monotonic() - started_at
    return summary


class _Lines:
    """The lines of a folder's ratings, read once, a chunk at a time.

    Attributes:
        read, read_bytes: So far.
    """

    def __init__(self, folder: Folder, limit: int | None, refusals: Refusals) -> None:
        self.read = self.read_bytes = 0
        self._path = folder.ratings
        self._refusals = refusals
        self._lines = islice(numbered_lines(folder, folder.ratings), limit)
        self._next = next(self._lines, None)

    @property
    def are_left(self) -> bool:
        return self._next is not None

    def next_rows(self, parser: RatingParser) -> Iterator[bytes]:
        """The rows of the next chunk; what cannot be used is refused and left out."""
        for _ in range(CHUNK):
            if self._next is None:
                return
            number, line = self._next
            self.read += 1
            self.read_bytes += len(line)
            try:
                yield parser.parse(line)
            except LineRefused as reason:
                self._refusals.add(self._path, number, reason)
            self._next = next(self._lines, None)


def _let_the_planner_know() -> None:
    """An embedded PostgreSQL may be gone before it looks at the tables of its own accord."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE recommendations_interaction, movies_movie, users_user")
