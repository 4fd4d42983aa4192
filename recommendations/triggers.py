"""Triggers that run when interactions are written."""

from __future__ import annotations

import pgtrigger

from cinema.triggers import Trigger

ADDED, REMOVED = "SELECT *, 1 AS factor FROM added", "SELECT *, -1 AS factor FROM removed"
#: The changed rows of each operation, with the factor by which they count.
CHANGES = {
    pgtrigger.Insert: ADDED,
    pgtrigger.Delete: REMOVED,
    pgtrigger.Update: f"{ADDED} UNION ALL {REMOVED}",
}


class CountInteractions(Trigger):
    """Add what a statement changes to the films' counts of ratings and the viewers' taste versions.

    A trigger does this and not Python, because the counts must be exact while many viewers rate at
    once, and after COPY, bulk writes and cascades.

    `INSERT ... ON CONFLICT` fires the triggers of both operations, one of them often without a row.
    The arrays keep the plans, which a connection makes once, good for one row and for 100,000.
    """

    level = pgtrigger.Statement
    when = pgtrigger.After

    def __init__(self, operation: pgtrigger.Operation) -> None:
        changes = CHANGES[operation]
        super().__init__(
            name=f"counts_{str(operation).lower()}",
            operation=operation,
            referencing=pgtrigger.Referencing(
                old="removed" if REMOVED in changes else None,
                new="added" if ADDED in changes else None,
            ),
            # Films in the order of their ids: two viewers who are erased at once must not meet.
            func=f"""
            IF NOT EXISTS ({changes}) THEN
                RETURN NULL;
            END IF;
            PERFORM FROM movies_movie
            WHERE id = ANY (ARRAY(SELECT movie_id FROM ({changes}) AS change WHERE kind = 1))
            ORDER BY id FOR NO KEY UPDATE;
            UPDATE movies_movie AS movie
            SET rating_count = rating_count + n, rating_sum = rating_sum + s
            FROM unnest(ARRAY(
                SELECT ROW (movie_id, sum(factor), sum(factor * half_stars) / 2.0::float8)
                FROM ({changes}) AS change WHERE kind = 1 GROUP BY movie_id
                HAVING sum(factor) <> 0 OR sum(factor * half_stars) <> 0
            )) AS change (movie_id bigint, n bigint, s float8)
            WHERE movie.id = movie_id;
            UPDATE users_user SET taste_version = taste_version + 1
            WHERE id = ANY (ARRAY(SELECT user_id FROM ({changes}) AS change));
            RETURN NULL;
            """,
        )
