"""Ratings on their way to their table: through a staging table, of which what is new is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from recommendations.models import Interaction

#: PostgreSQL's `format` fills in the userId.
EMAIL = "movielens-%s@cinema.invalid"
NAME = "MovieLens viewer %s"
ROWS_AT_ONCE = 5000

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
# The range of users lets the table of all ratings be read in part: viewers lie together in the
# file, and so do their ids. What stands already is sorted out beforehand, because a conflict
# locks the row, and that is a write.
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


@dataclass(frozen=True)
class Merged:
    """What became of one chunk; `viewers` are the ids of all users in it."""

    viewers: Sequence[int]
    viewers_created: int
    created: int
    updated: int
    unchanged: int


def merge_ratings(rows: Iterator[bytes]) -> Merged:
    """Write what is new in these rows of `RatingParser`, in one transaction.

    Of several ratings of a movie by a viewer the latest counts, whether they stand in the rows
    or in the table already; of several at the same second the last one.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        staged = _stage(cursor, rows)
        viewers_created, viewers = _find_or_create_viewers(cursor)
        created, updated = _merge(cursor, viewers)
        cursor.execute(DROP_STAGE)
    return Merged(viewers, viewers_created, created, updated, staged - created - updated)


def _stage(cursor: CursorWrapper, rows: Iterator[bytes]) -> int:
    staged = 0
    with cursor.copy(COPY) as copy:
        while block := list(islice(rows, ROWS_AT_ONCE)):
            copy.write(b"\n".join([*block, b""]))
            staged += len(block)
    return staged


def _find_or_create_viewers(cursor: CursorWrapper) -> tuple[int, list[int]]:
    """How many are new, and the users' ids of all."""
    password = make_password(None)  # nobody can sign in with it
    cursor.execute(CREATE_VIEWERS, {"email": EMAIL, "name": NAME, "password": password})
    created = cursor.rowcount
    cursor.execute(FIND_VIEWERS, {"email": EMAIL})
    cursor.execute("SELECT user_id FROM movielens_viewers")
    return created, [user_id for (user_id,) in cursor.fetchall()]


def _merge(cursor: CursorWrapper, viewers: Sequence[int]) -> tuple[int, int]:
    """How many ratings were created, and how many updated."""
    cursor.execute("ANALYZE movielens_stage, movielens_viewers")
    cursor.execute("SET LOCAL work_mem = '64MB'")
    # Foreign keys are checked before the trigger locks the movies, not after, at the commit:
    # viewers who rate one of them wait for a part of the time only.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    users = {"first": min(viewers, default=0), "last": max(viewers, default=0)}
    cursor.execute(MERGE, {"rating": Interaction.Kind.RATING.value, **users})
    created, updated = cursor.fetchone()
    return created, updated
