"""The films' counts of ratings stay as they are when a viewer is erased.

`users/erasure.py` says in its transaction that this is what it does. A rating that is
deleted in any other way is taken out of the count.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION recommendations_count_interactions() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM recommendations_add_ratings(array_agg(row(movie_id, n, s)::recommendations_change))
        FROM (SELECT movie_id, count(*) n, sum(half_stars) / 2.0 s
              FROM added WHERE kind = 1 GROUP BY movie_id) changes;
        UPDATE users_user SET taste_version = taste_version + 1
        WHERE id IN (SELECT user_id FROM added);
    WHEN 'DELETE' THEN
        {unless_erasing}
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
# Nor does the taste of somebody count who is about to be nobody.
UNLESS_ERASING = """IF current_setting('cinema.erasing', true) <> '' THEN
            RETURN NULL;
        END IF;"""


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0006_evidence")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(unless_erasing=UNLESS_ERASING), FUNCTION.format(unless_erasing="")
        ),
    ]
