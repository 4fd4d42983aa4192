"""Triggers that keep the audit log of films, screenings, halls and genres.

They do nothing unless `cinema.audit.recording` has told the transaction who writes, and are asked
only where a column changes that staff write: ratings and rankings pass them by.
"""

from django.db import migrations

IS_RECORDED = "current_setting('cinema.audit', true) <> ''"

#: By table: what it is called in the log, the column with the film's id, the columns told of.
TABLES = {
    "movies_movie": (
        "movie",
        "id",
        "name slug protagonists overview keywords poster trailer poster_upload trailer_upload "
        "start_date end_date status status_is_manual original_language release_year "
        "runtime_minutes tmdb_id withdrawn_at",
    ),
    "movies_screening": (
        "screening",
        "movie_id",
        "movie_id hall_id starts_at ends_at version language subtitles tags booking_url state",
    ),
    "movies_hall": ("hall", "", "name"),
    "movies_genre": ("genre", "", "slug name"),
}

# Once for each statement: the log tells all genres of a film, before and after.
GENRES = """
CREATE FUNCTION movies_audit_genres() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit_write(
        'update', 'movie', movie_id, movie_id,
        jsonb_build_object('genres', CASE TG_OP WHEN 'INSERT' THEN kept ELSE all_of_them END),
        jsonb_build_object('genres', CASE TG_OP WHEN 'INSERT' THEN all_of_them ELSE kept END)
    )
    FROM (
        SELECT movie_id,
               COALESCE(jsonb_agg(slug ORDER BY slug) FILTER (WHERE NOT is_changed), '[]') AS kept,
               jsonb_agg(slug ORDER BY slug) AS all_of_them
        FROM (
            SELECT movie_id, genre_id, true AS is_changed FROM changed
            UNION ALL
            SELECT movie_id, genre_id, false FROM movies_movie_genres AS link
            WHERE movie_id IN (SELECT movie_id FROM changed)
              AND NOT EXISTS (SELECT FROM changed WHERE changed.id = link.id)
        ) AS links
        JOIN movies_genre AS genre ON genre.id = genre_id
        GROUP BY movie_id
    ) AS movies;
    RETURN NULL;
END $$;
"""


def trigger(table: str, event: str) -> migrations.RunSQL:
    name, movie, columns = TABLES[table]
    events = f"UPDATE OF {columns.replace(' ', ', ')}" if event == "update" else event.upper()
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_audit_{event} AFTER {events} ON {table} FOR EACH ROW "
        f"WHEN ({IS_RECORDED}) "
        f"EXECUTE FUNCTION audit_record('{name}', '{movie}', '{columns}', '')",
        f"DROP TRIGGER {table}_audit_{event} ON {table}",
    )


def genre_trigger(event: str, rows: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER movies_movie_genres_audit_{event} AFTER {event} ON movies_movie_genres "
        f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT "
        f"WHEN ({IS_RECORDED}) EXECUTE FUNCTION movies_audit_genres()",
        f"DROP TRIGGER movies_movie_genres_audit_{event} ON movies_movie_genres",
    )


class Migration(migrations.Migration):
    dependencies = [("movies", "0003_programme"), ("audit", "0002_recording")]

    operations = [
        *(trigger(table, event) for table in TABLES for event in ("insert", "update", "delete")),
        migrations.RunSQL(GENRES, "DROP FUNCTION movies_audit_genres()"),
        genre_trigger("insert", "NEW"),
        genre_trigger("delete", "OLD"),
        migrations.AlterModelOptions("movie", {"ordering": ("name", "id"), "verbose_name": "film"}),
    ]
