"""Triggers that run when interactions are written."""

from __future__ import annotations

import pgtrigger

from cinema.triggers import Trigger

#: By operation: the rows that change the counts of ratings, with a factor, and the changed rows.
CHANGES = {
    pgtrigger.Insert: ("SELECT *, 1 AS factor FROM added", "SELECT user_id FROM added"),
    pgtrigger.Delete: ("SELECT *, -1 AS factor FROM removed", "SELECT user_id FROM removed"),
    pgtrigger.Update: (
        "SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 FROM removed",
        "SELECT user_id FROM added UNION SELECT user_id FROM removed",
    ),
}


class CountInteractions(Trigger):
    """Add what a statement changes to the films' counts of ratings and the viewers' taste versions.

    A trigger does this and not Python, because the counts must be exact while many viewers rate at
    once, and after COPY, bulk writes and cascades.
    """

    level = pgtrigger.Statement
    when = pgtrigger.After

    def __init__(self, operation: pgtrigger.Operation) -> None:
        rows, users = CHANGES[operation]
        super().__init__(
            name=f"counts_{str(operation).lower()}",
            operation=operation,
            referencing=pgtrigger.Referencing(
                old="removed" if "removed" in users else None,
                new="added" if "added" in users else None,
            ),
            declare=[("movies", "bigint[]"), ("counts", "bigint[]"), ("sums", "float8[]")],
            # Films in the order of their ids: two viewers who are erased at once must not meet.
            func=f"""
            SELECT array_agg(movie_id), array_agg(n), array_agg(s) INTO movies, counts, sums
            FROM (
                SELECT movie_id, sum(factor) AS n, sum(factor * half_stars) / 2.0::float8 AS s
                FROM ({rows}) AS changes WHERE kind = 1 GROUP BY movie_id
            ) AS by_movie WHERE n <> 0 OR s <> 0;
            PERFORM FROM movies_movie WHERE id = ANY (movies) ORDER BY id FOR NO KEY UPDATE;
            UPDATE movies_movie AS movie
            SET rating_count = rating_count + n, rating_sum = rating_sum + s
            FROM unnest(movies, counts, sums) AS change (movie_id, n, s)
            WHERE movie.id = movie_id;
            UPDATE users_user SET taste_version = taste_version + 1 WHERE id IN ({users});
            RETURN NULL;
            """,
        )
