"""Triggers that keep what other tables know of interactions.

A movie's count and sum of ratings, and a viewer's `taste_version`, change in the transaction of
the interaction and by addition: right under concurrency, for bulk COPY, and for cascades.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION recommendations_count_interactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM recommendations_add_ratings(array_agg(row(movie_id, n, s)::recommendations_change))
        FROM (SELECT movie_id, count(*) n, sum(half_stars) / 2.0 s
              FROM added WHERE kind = 1 GROUP BY movie_id) changes;
        UPDATE users_user SET taste_version = taste_version + 1
        WHERE id IN (SELECT user_id FROM added);
    WHEN 'DELETE' THEN
        PERFORM recommendations_add_ratings(array_agg(row(movie_id, n, s)::recommendations_change))
        FROM (SELECT movie_id, -count(*) n, -sum(half_stars) / 2.0 s
              FROM removed WHERE kind = 1 GROUP BY movie_id) changes;
        UPDATE users_user SET taste_version = taste_version + 1
        WHERE id IN (SELECT user_id FROM removed);
    WHEN 'UPDATE' THEN
        PERFORM recommendations_add_ratings(array_agg(row(movie_id, n, s)::recommendations_change))
        FROM (SELECT movie_id, sum(n) n, sum(s) / 2.0 s
              FROM (SELECT movie_id, 1 n, half_stars s FROM added WHERE kind = 1
                    UNION ALL
                    SELECT movie_id, -1, -half_stars FROM removed WHERE kind = 1) parts
              GROUP BY movie_id) changes;
        UPDATE users_user SET taste_version = taste_version + 1
        WHERE id IN (SELECT user_id FROM added UNION SELECT user_id FROM removed);
    END CASE;
    RETURN NULL;
END $$;
"""

ADD_RATINGS = """
CREATE TYPE recommendations_change AS (movie_id bigint, n bigint, s float8);

CREATE FUNCTION recommendations_add_ratings(changes recommendations_change[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE movies_movie movie
    SET rating_count = rating_count + change.n, rating_sum = rating_sum + change.s
    FROM unnest(changes) change
    WHERE movie.id = change.movie_id AND (change.n <> 0 OR change.s <> 0)
$$;
"""

TRIGGERS = {
    "INSERT": "NEW TABLE AS added",
    "DELETE": "OLD TABLE AS removed",
    "UPDATE": "NEW TABLE AS added OLD TABLE AS removed",
}


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0001_initial"),
        ("movies", "0002_catalogue_version"),
        ("users", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            ADD_RATINGS,
            "DROP FUNCTION recommendations_add_ratings(recommendations_change[]);"
            "DROP TYPE recommendations_change",
        ),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION recommendations_count_interactions()"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER recommendations_interaction_{event.lower()} "
                f"AFTER {event} ON recommendations_interaction REFERENCING {tables} "
                "FOR EACH STATEMENT EXECUTE FUNCTION recommendations_count_interactions()",
                f"DROP TRIGGER recommendations_interaction_{event.lower()} "
                "ON recommendations_interaction",
            )
            for event, tables in TRIGGERS.items()
        ),
    ]
