"""Triggers that raise the catalogue's version in the transaction of each change.

They see every way to write: the API, the admin, bulk imports, and psql.
"""

from django.db import migrations

# Not the rating's count and sum: every click would otherwise make the programme anew.
MOVIE_COLUMNS = """
    name, slug, protagonists, overview, poster, trailer, start_date, end_date, status, ranking,
    original_language, release_year, runtime_minutes, tmdb_id, withdrawn_at
"""

FUNCTION = """
CREATE FUNCTION movies_raise_catalogue_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;
    RETURN NULL;
END $$;
"""

TRIGGERS = {
    "movies_movie": f"INSERT OR DELETE OR UPDATE OF {MOVIE_COLUMNS}",
    "movies_movie_genres": "INSERT OR DELETE OR UPDATE",
    "movies_genre": "DELETE OR UPDATE",
    "movies_screening": "INSERT OR DELETE OR UPDATE",
    "movies_hall": "UPDATE",
}


class Migration(migrations.Migration):
    dependencies = [("movies", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION movies_raise_catalogue_version()"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_version AFTER {events} ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION movies_raise_catalogue_version()",
                f"DROP TRIGGER {table}_version ON {table}",
            )
            for table, events in TRIGGERS.items()
        ),
    ]
