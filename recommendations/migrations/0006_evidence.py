"""The one place that says what taste is read from: interactions, favourites, and what was watched.

Favourites and viewings are kept by `users`, each as it is; a copy among the interactions would have
to be kept right. A viewer counts once for a film and kind of evidence: of viewings anybody may note
a thousand, one for each minute, and would so make any film popular.
"""

from django.db import migrations

VIEW = """
CREATE VIEW recommendations_evidence (user_id, movie_id, kind, half_stars, updated_at) AS
SELECT user_id, movie_id, kind, half_stars, updated_at FROM recommendations_interaction
UNION ALL
SELECT user_id, movie_id, 7::smallint, 0::smallint, created_at FROM users_favourite
UNION ALL
SELECT user_id, movie_id, CASE WHEN checked_in THEN 8 ELSE 5 END::smallint, 0::smallint,
       max(watched_at)
FROM users_viewing GROUP BY user_id, movie_id, checked_in
"""


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0005_counted_in_order"),
        ("users", "0003_sessions_and_lists"),
    ]

    operations = [migrations.RunSQL(VIEW, "DROP VIEW recommendations_evidence")]
