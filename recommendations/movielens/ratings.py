"""The ratings of a folder: read in blocks through NumPy, and merged into the interactions."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from numpy.typing import NDArray

from movies.importing.tables import RowRefused
from recommendations.models import Interaction
from recommendations.movielens.files import (
    Folder,
    RefusedLines,
    quoted,
    split_line,
    whole_number,
)

#: The size of a block, and of a transaction: some 600,000 lines. Each transaction updates most
#: movies, so small blocks are slow.
BLOCK_BYTES = 16 * 1024 * 1024
#: A block with an unusual line is halved down to this size, and read line by line.
LINE_BY_LINE_BYTES = 64 * 1024
#: The clock of the one who rated may be ahead of ours.
TOLERANCE_S = 24 * 3600

#: (n, 4) int64: userId, index of the film, half stars, Unix seconds.
RatingRows = NDArray[np.int64]


@dataclass(frozen=True)
class RatingBlock:
    """`n_lines` and `n_bytes` are those of the block in the file, refused lines included."""

    rows: RatingRows
    n_lines: int
    n_bytes: int


class RatingReader:
    """Reads the ratings of some films.

    Args:
        film_numbers: (n_films,) int64, ascending; the rows have the index of the film in it.
    """

    def __init__(
        self, folder: Folder, film_numbers: NDArray[np.int64], refused: RefusedLines
    ) -> None:
        self._folder = folder
        self._numbers = film_numbers
        self._refused = refused
        self._separator = folder.separator.encode()
        self._latest_s = int(time.time()) + TOLERANCE_S

    def blocks(self, limit: int | None = None) -> Iterator[RatingBlock]:
        """Yield blocks in the file's order, of at most `limit` lines in all."""
        number, left = 1, limit
        with self._folder.ratings.open("rb") as file:
            if self._folder.has_headers:
                file.readline()
                number = 2
            while left != 0 and (text := file.read(BLOCK_BYTES)):
                text += file.readline()
                if left is not None:
                    text, left = _first_lines(text, left)
                n_refused = self._refused.count
                rows = self._read(text, number)
                n_lines = len(rows) + self._refused.count - n_refused
                yield RatingBlock(rows, n_lines, len(text))
                number += text.count(b"\n")

    def _read(self, text: bytes, first: int) -> RatingRows:
        rows = self._read_at_once(text)
        if rows is not None:
            return rows
        middle = text.find(b"\n", len(text) // 2) + 1
        if len(text) <= LINE_BY_LINE_BYTES or not 0 < middle < len(text):
            return self._read_line_by_line(text, first)
        head, tail = text[:middle], text[middle:]
        second = first + head.count(b"\n")
        return np.concatenate([self._read(head, first), self._read(tail, second)])

    def _read_at_once(self, text: bytes) -> RatingRows | None:
        """Return None if any line of the text is unusual."""
        if not text.strip():
            return np.empty((0, 4), dtype=np.int64)
        try:
            source = io.BytesIO(text.replace(self._separator, b","))
            values = np.loadtxt(source, delimiter=",", comments=None, ndmin=2)
        except ValueError:
            return None
        if values.shape[1] != 4:
            return None
        values[:, 2] *= 2
        is_valid = (values >= [0, 0, 1, 0]) & (values < [1e9, 2**31, 11, self._latest_s + 1])
        if not is_valid.all() or (values % 1).any():
            return None
        rows = values.astype(np.int64)
        found = np.searchsorted(self._numbers, rows[:, 1])
        if not (self._numbers.take(found, mode="clip") == rows[:, 1]).all():
            return None
        rows[:, 1] = found
        return rows

    def _read_line_by_line(self, text: bytes, first: int) -> RatingRows:
        rows = []
        for number, line in enumerate(text.split(b"\n"), first):
            if line.strip():
                try:
                    rows.append(self._parse(line))
                except RowRefused as reason:
                    self._refused.add(self._folder.ratings, number, reason)
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    def _parse(self, line: bytes) -> tuple[int, int, int, int]:
        fields = split_line(line, self._folder.separator, "utf-8", 4)
        viewer, film = whole_number(fields[0], "userId"), whole_number(fields[1], "movieId")
        half_stars = _half_stars(fields[2])
        seconds = whole_number(fields[3], "timestamp", below=2**63)
        if seconds > self._latest_s:
            raise RowRefused(f"timestamp {seconds} lies in the future")
        index = int(np.searchsorted(self._numbers, film))
        if index == len(self._numbers) or self._numbers[index] != film:
            raise RowRefused(f"unknown movie {film}")
        return viewer, index, half_stars, seconds


def _first_lines(text: bytes, n: int) -> tuple[bytes, int]:
    """Cut after `n` lines that are not blank; returns how many are missing to `n`, too."""
    end = 0
    for line in io.BytesIO(text):
        if n == 0:
            break
        n -= bool(line.strip())
        end += len(line)
    return text[:end], n


def _half_stars(text: str) -> int:
    try:
        half_stars = float(text.strip(' "')) * 2
    except ValueError as error:
        raise RowRefused(f"rating {quoted(text)} is not a number") from error
    if not 1 <= half_stars <= 10 or half_stars % 1:
        raise RowRefused(f"rating {quoted(text)} is not one of 0.5, 1, 1.5 ... 5")
    return int(half_stars)


# --- merging

#: `format` of Postgres fills in the userId.
EMAIL = "movielens-%s@cinema.invalid"
NAME = "MovieLens viewer %s"

CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_stage (
    place bigint GENERATED ALWAYS AS IDENTITY,
    viewer integer, movie_id bigint, half_stars smallint, seconds bigint
)
"""
COPY = "COPY movielens_stage (viewer, movie_id, half_stars, seconds) FROM STDIN"
CREATE_VIEWERS = """
INSERT INTO users_user
    (email, name, password, is_superuser, is_staff, is_active, date_joined, taste_version)
SELECT format(%(email)s, viewer), format(%(name)s, viewer), %(password)s,
       false, false, true, now(), 0
FROM (SELECT DISTINCT viewer FROM movielens_stage ORDER BY viewer) viewers
WHERE NOT EXISTS (SELECT FROM users_user WHERE email = format(%(email)s, viewer))
ON CONFLICT (email) DO NOTHING
"""
FIND_VIEWERS = """
CREATE TEMPORARY TABLE movielens_viewers AS
SELECT viewer, known.id AS user_id
FROM (SELECT DISTINCT viewer FROM movielens_stage) viewers
JOIN users_user known ON known.email = format(%(email)s, viewer)
"""
# The range of users limits how much of the table is read: viewers are adjacent in the file, and so
# are their ids. Known ratings are excluded first, as a conflict locks the row, which is a write.
MERGE = """
WITH latest AS (
    SELECT DISTINCT ON (user_id, movie_id)
           user_id, movie_id, half_stars, to_timestamp(seconds) AS rated_at
    FROM movielens_stage JOIN movielens_viewers USING (viewer)
    ORDER BY user_id, movie_id, seconds DESC, place DESC
), written AS (
    INSERT INTO recommendations_interaction AS known
        (user_id, movie_id, kind, half_stars, created_at, updated_at)
    SELECT user_id, movie_id, %(rating)s, latest.half_stars, rated_at, rated_at
    FROM latest LEFT JOIN (
        SELECT * FROM recommendations_interaction
        WHERE kind = %(rating)s AND user_id BETWEEN %(first)s AND %(last)s
    ) standing USING (user_id, movie_id)
    WHERE standing.id IS NULL OR rated_at > standing.updated_at
       OR rated_at = standing.updated_at AND latest.half_stars <> standing.half_stars
    ON CONFLICT (user_id, movie_id, kind) DO UPDATE
    SET half_stars = excluded.half_stars, updated_at = excluded.updated_at
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""
DROP_STAGE = "DROP TABLE movielens_stage, movielens_viewers"


def merge_ratings(rows: RatingRows) -> tuple[list[int], Counter[str]]:
    """Write the new ratings in one transaction; column 1 of the rows holds movie ids.

    Returns the ids of all viewers, and the numbers of new viewers and of ratings by outcome. The
    latest rating of a movie by a viewer counts, in the rows or in the table; of several in the
    same second the last one.
    """
    lines = b"".join(b"%d\t%d\t%d\t%d\n" % tuple(row) for row in rows.tolist())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        with cursor.copy(COPY) as copy:
            copy.write(lines)
        viewers_created, viewers = _find_or_create_viewers(cursor)
        created, updated = _merge(cursor, viewers)
        cursor.execute(DROP_STAGE)
    unchanged = len(rows) - created - updated
    return viewers, Counter(
        viewers_created=viewers_created, created=created, updated=updated, unchanged=unchanged
    )


def _find_or_create_viewers(cursor: CursorWrapper) -> tuple[int, list[int]]:
    """Return how many viewers are new, and the ids of all users."""
    password = make_password(None)  # unusable: no one can sign in
    cursor.execute(CREATE_VIEWERS, {"email": EMAIL, "name": NAME, "password": password})
    created = cursor.rowcount
    cursor.execute(FIND_VIEWERS, {"email": EMAIL})
    cursor.execute("SELECT user_id FROM movielens_viewers")
    return created, [user_id for (user_id,) in cursor.fetchall()]


def _merge(cursor: CursorWrapper, viewers: Sequence[int]) -> tuple[int, int]:
    """Return how many ratings are created, and how many are updated."""
    cursor.execute("ANALYZE movielens_stage, movielens_viewers")
    cursor.execute("SET LOCAL work_mem = '64MB'")
    # Checked before the trigger locks the movies, and not at the commit: concurrent ratings of
    # these movies wait for less time.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    users = {"first": min(viewers, default=0), "last": max(viewers, default=0)}
    cursor.execute(MERGE, {"rating": Interaction.Kind.RATING.value, **users})
    created, updated = cursor.fetchone()
    return created, updated
