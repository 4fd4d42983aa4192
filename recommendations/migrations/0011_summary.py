"""A viewer's figures: counted now by a function, and by the materialized view that is made of it.

What depends on the cinema's time zone asks for it. The view reads it from the parameter that
`ratings/summary.py` sets; whoever refreshes it without is given an empty view, which is no error:
the figures are counted when they are asked for.
"""

from django.db import migrations

#: Parsed now, not when it runs, as a refresh looks for names in `pg_catalog` alone. Each part is
#: grouped by viewer, so that what asks for one viewer reads that one's rows and no others.
FIGURES = """
CREATE FUNCTION recommendations_figures(time_zone text)
RETURNS TABLE (user_id bigint, taste_version bigint, figures jsonb) LANGUAGE sql STABLE
BEGIN ATOMIC
SELECT viewer.id, viewer.taste_version, jsonb_build_object(
    'stars', coalesce(stars.rows, '[]'),
    'favourites', coalesce(favourites.films, 0),
    'months', coalesce(months.rows, '[]'),
    'films', coalesce(films.rows, '[]')
)
FROM users_user viewer
LEFT JOIN (
    SELECT user_id, jsonb_agg(jsonb_build_array(half_stars, ratings)) AS rows
    FROM (
        SELECT user_id, half_stars, count(*) AS ratings
        FROM recommendations_interaction WHERE kind = 1 GROUP BY user_id, half_stars
    ) counted
    GROUP BY user_id
) stars ON stars.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, count(*) AS films FROM users_favourite GROUP BY user_id
) favourites ON favourites.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, jsonb_agg(
        jsonb_build_array(month, viewings, check_ins, minutes, without_runtime)
    ) AS rows
    FROM (
        SELECT viewing.user_id,
               to_char(viewing.watched_at AT TIME ZONE time_zone, 'YYYY-MM') AS month,
               count(*) AS viewings,
               count(*) FILTER (WHERE viewing.checked_in) AS check_ins,
               coalesce(sum(movie.runtime_minutes), 0) AS minutes,
               count(*) FILTER (WHERE movie.runtime_minutes IS NULL) AS without_runtime
        FROM users_viewing viewing JOIN movies_movie movie ON movie.id = viewing.movie_id
        GROUP BY viewing.user_id, month
    ) counted
    GROUP BY user_id
) months ON months.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, jsonb_agg(
        jsonb_build_array(genre, decade, language, films, rated, half_stars)
    ) AS rows
    FROM (
        SELECT watched.user_id, genre,
               CASE genre WHEN 0 THEN movie.release_year / 10 * 10 END AS decade,
               CASE genre WHEN 0 THEN split_part(movie.original_language, '-', 1) END AS language,
               count(*) AS films,
               count(*) FILTER (WHERE watched.half_stars > 0) AS rated,
               sum(watched.half_stars) AS half_stars
        FROM (
            SELECT user_id, movie_id, max(half_stars) AS half_stars
            FROM (
                SELECT user_id, movie_id, half_stars FROM recommendations_interaction
                WHERE kind IN (1, 5)
                UNION ALL
                SELECT user_id, movie_id, 0 FROM users_viewing
            ) said
            GROUP BY user_id, movie_id
        ) watched
        JOIN movies_movie movie ON movie.id = watched.movie_id
        -- Once for each genre, and once, as 0, for its decade and language.
        CROSS JOIN unnest(movie.genre_ids || 0::bigint) AS genre
        GROUP BY watched.user_id, genre, decade, language
    ) counted
    GROUP BY user_id
) films ON films.user_id = viewer.id;
END
"""

#: Ids and figures, no names. Who has done nothing yet has nothing to look up.
SUMMARY = """
CREATE MATERIALIZED VIEW user_interaction_summary AS
SELECT user_id, taste_version, current_setting('cinema.time_zone', true) AS time_zone, figures
FROM recommendations_figures(current_setting('cinema.time_zone', true))
WHERE taste_version > 0 AND current_setting('cinema.time_zone', true) <> '';

CREATE UNIQUE INDEX user_interaction_summary_user ON user_interaction_summary (user_id);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0010_staff_have_their_say"),
        ("users", "0006_mails"),
        ("movies", "0008_directors"),
    ]

    operations = [
        migrations.RunSQL(FIGURES, "DROP FUNCTION recommendations_figures(text)"),
        migrations.RunSQL(SUMMARY, "DROP MATERIALIZED VIEW user_interaction_summary"),
    ]
