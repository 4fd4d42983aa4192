"""Triggers that take a field off a movie's `tmdb_fields` when anybody but TMDb changes it.

They see the API, the admin, imports and psql alike. `movies.tmdb.provenance` tells the transaction
that it is TMDb who writes.
"""

from django.db import migrations

SQL = """
CREATE FUNCTION tmdb_is_writing() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT current_setting('cinema.tmdb_is_writing', true) IS NOT DISTINCT FROM 'yes'
$$;

CREATE FUNCTION tmdb_note_edit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    after jsonb := to_jsonb(NEW);
BEGIN
    IF NOT tmdb_is_writing() THEN
        NEW.tmdb_fields := ARRAY(
            SELECT field FROM unnest(NEW.tmdb_fields) AS field
            WHERE before -> field IS NOT DISTINCT FROM after -> field
        );
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER tmdb_movie_edited BEFORE UPDATE OF
    name, protagonists, overview, keywords, poster, trailer, original_language, release_year,
    runtime_minutes
ON movies_movie FOR EACH ROW WHEN (OLD.tmdb_fields <> '{}') EXECUTE FUNCTION tmdb_note_edit();

CREATE FUNCTION tmdb_note_edit_of_genres() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT tmdb_is_writing() THEN
        UPDATE movies_movie SET tmdb_fields = array_remove(tmdb_fields, 'genres')
        WHERE id IN (SELECT movie_id FROM changed) AND 'genres' = ANY(tmdb_fields);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tmdb_movie_genre_added AFTER INSERT ON movies_movie_genres
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION tmdb_note_edit_of_genres();

CREATE TRIGGER tmdb_movie_genre_removed AFTER DELETE ON movies_movie_genres
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION tmdb_note_edit_of_genres();
"""

REVERSE = """
DROP TRIGGER tmdb_movie_edited ON movies_movie;
DROP TRIGGER tmdb_movie_genre_added ON movies_movie_genres;
DROP TRIGGER tmdb_movie_genre_removed ON movies_movie_genres;
DROP FUNCTION tmdb_note_edit();
DROP FUNCTION tmdb_note_edit_of_genres();
DROP FUNCTION tmdb_is_writing();
"""


class Migration(migrations.Migration):
    dependencies = [("tmdb", "0001_initial"), ("movies", "0003_programme")]

    operations = [migrations.RunSQL(SQL, REVERSE)]
