"""The ratings of a folder: read in blocks through NumPy, and merged into the interactions."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from numpy.typing import NDArray

from movies.importing.tables import RowRefused
from recommendations.models import Interaction
from recommendations.movielens.files import (
    Folder,
    RefusedLines,
    numbered_lines,
    quoted,
    split_line,
    whole_number,
)
from users.models import User

#: The size of a block, and of a transaction. Each transaction updates most movies, so small blocks
#: are slow.
BLOCK_LINES = 500_000
#: A block with an unusual line is halved down to this size, and read line by line.
LINE_BY_LINE = 2_000
#: The clock of the one who rated may be ahead of ours.
TOLERANCE_S = 24 * 3600

#: (n, 4) int64: userId, index of the film, half stars, Unix seconds.
RatingRows = NDArray[np.int64]


class RatingReader:
    """Reads the ratings of some films.

    Args:
        film_numbers: (n_films,) int64, ascending; the rows have the index of the film in it.

    Attributes:
        n_lines, n_bytes: The size of what has been read, refused lines included.
    """

    def __init__(
        self, folder: Folder, film_numbers: NDArray[np.int64], refused: RefusedLines
    ) -> None:
        self._folder = folder
        self._numbers = film_numbers
        self._refused = refused
        self._latest_s = int(time.time()) + TOLERANCE_S
        self.n_lines = self.n_bytes = 0

    def blocks(self, limit: int | None = None) -> Iterator[RatingRows]:
        """Yield blocks in the file's order, of at most `limit` lines in all."""
        lines = islice(numbered_lines(self._folder, self._folder.ratings), limit)
        while block := list(islice(lines, BLOCK_LINES)):
            self.n_lines += len(block)
            self.n_bytes += sum(len(line) for _, line in block)
            yield self._read(block)

    def _read(self, lines: Sequence[tuple[int, bytes]]) -> RatingRows:
        rows = self._read_at_once(b"".join(line for _, line in lines))
        if rows is not None:
            return rows
        if len(lines) > LINE_BY_LINE:
            middle = len(lines) // 2
            return np.concatenate([self._read(lines[:middle]), self._read(lines[middle:])])
        parsed = []
        for number, line in lines:
            try:
                parsed.append(self._parse(line))
            except RowRefused as reason:
                self._refused.add(self._folder.ratings, number, reason)
        return np.array(parsed, dtype=np.int64).reshape(-1, 4)

    def _read_at_once(self, text: bytes) -> RatingRows | None:
        """Return None if any line of the text is unusual."""
        try:
            source = io.BytesIO(text.replace(self._folder.separator.encode(), b","))
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


def _half_stars(text: str) -> int:
    try:
        half_stars = float(text.strip(' "')) * 2
    except ValueError as error:
        raise RowRefused(f"rating {quoted(text)} is not a number") from error
    if not 1 <= half_stars <= 10 or half_stars % 1:
        raise RowRefused(f"rating {quoted(text)} is not one of 0.5, 1, 1.5 ... 5")
    return int(half_stars)


def latest_ratings(rows: RatingRows) -> RatingRows:
    """Sort by viewer and film, and keep the latest of each pair; in one second the last line."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 1], rows[:, 0]))]
    is_last = np.ones(len(rows), dtype=bool)
    is_last[:-1] = (rows[1:, :2] != rows[:-1, :2]).any(axis=1)
    latest: RatingRows = rows[is_last]
    return latest


CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_stage
    (user_id bigint, movie_id bigint, half_stars smallint, seconds bigint)
"""
COPY = "COPY movielens_stage FROM STDIN"
# The range of users limits how much of the table is read: viewers are adjacent in the file, and so
# are their ids. Known ratings are excluded first, as a conflict locks the row, which is a write.
MERGE = """
WITH latest AS (
    SELECT user_id, movie_id, half_stars, to_timestamp(seconds) AS rated_at FROM movielens_stage
), changed AS (
    SELECT user_id, movie_id, latest.half_stars, rated_at, standing.id IS NULL AS is_new
    FROM latest LEFT JOIN (
        SELECT * FROM recommendations_interaction
        WHERE kind = %(rating)s AND user_id BETWEEN %(first)s AND %(last)s
    ) standing USING (user_id, movie_id)
    WHERE standing.id IS NULL OR rated_at > standing.updated_at
       OR rated_at = standing.updated_at AND latest.half_stars <> standing.half_stars
), written AS (
    INSERT INTO recommendations_interaction AS known
        (user_id, movie_id, kind, half_stars, created_at, updated_at)
    SELECT user_id, movie_id, %(rating)s, half_stars, rated_at, rated_at FROM changed
    ON CONFLICT (user_id, movie_id, kind) DO UPDATE
    SET half_stars = excluded.half_stars, updated_at = excluded.updated_at
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM changed
"""
DROP_STAGE = "DROP TABLE movielens_stage"


@transaction.atomic
def merge_ratings(rows: RatingRows) -> tuple[list[int], Counter[str]]:
    """Write the new ratings in one transaction; column 1 of the rows holds movie ids.

    Returns the ids of all viewers, and the numbers of new viewers and of ratings by outcome. The
    latest rating of a movie by a viewer counts, in the rows or in the table.
    """
    numbers = np.unique(rows[:, 0])
    user_ids, viewers_created = _find_or_create_viewers(numbers.tolist())
    latest = latest_ratings(rows)
    latest[:, 0] = np.array(user_ids, dtype=np.int64)[np.searchsorted(numbers, latest[:, 0])]
    users = {"first": min(user_ids, default=0), "last": max(user_ids, default=0)}
    with connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        with cursor.copy(COPY) as copy:
            copy.write(b"".join(b"%d\t%d\t%d\t%d\n" % tuple(row) for row in latest.tolist()))
        cursor.execute("ANALYZE movielens_stage")
        cursor.execute("SET LOCAL work_mem = '64MB'")
        # Checked before the trigger locks the movies, and not at the commit: concurrent ratings of
        # these movies wait for less time.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(MERGE, {"rating": Interaction.Kind.RATING.value, **users})
        created, updated = cursor.fetchone()
        cursor.execute(DROP_STAGE)
    unchanged = len(rows) - created - updated
    return user_ids, Counter(
        viewers_created=viewers_created, created=created, updated=updated, unchanged=unchanged
    )


def _find_or_create_viewers(numbers: Sequence[int]) -> tuple[list[int], int]:
    """Return the user ids of the viewers, in their order, and how many are new."""
    emails = {f"movielens-{number}@cinema.invalid": number for number in numbers}
    viewers = User.objects.filter(email__in=emails)
    known = set(viewers.values_list("email", flat=True))
    password = make_password(None)  # unusable: no one can sign in
    new = [
        User(email=email, name=f"MovieLens viewer {number}", password=password)
        for email, number in emails.items()
        if email not in known
    ]
    User.objects.bulk_create(new)
    ids = dict(viewers.values_list("email", "pk"))
    return [ids[email] for email in emails], len(new)
