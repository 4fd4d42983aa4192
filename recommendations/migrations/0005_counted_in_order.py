"""Ratings are counted in the order of the movies' ids.

An UPDATE takes its rows in the order of its plan, so two viewers who were erased at once could each
wait for a movie that the other had counted: a deadlock.
"""

from django.db import migrations

UPDATE = """
    UPDATE movies_movie movie
    SET rating_count = rating_count + change.n, rating_sum = rating_sum + change.s
    FROM unnest(changes) change
    WHERE movie.id = change.movie_id AND (change.n <> 0 OR change.s <> 0)
"""
LOCK = """
    SELECT FROM movies_movie
    WHERE id IN (SELECT movie_id FROM unnest(changes) WHERE n <> 0 OR s <> 0)
    ORDER BY id FOR NO KEY UPDATE;
"""
FUNCTION = """
CREATE OR REPLACE FUNCTION recommendations_add_ratings(changes recommendations_change[])
RETURNS void LANGUAGE sql AS $$ {statements} $$
"""


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0004_recent_interactions")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(statements=LOCK + UPDATE), FUNCTION.format(statements=UPDATE)
        ),
    ]
