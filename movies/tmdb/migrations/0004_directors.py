"""Directors among the fields of TMDb: noted when edited, filled with the next refresh."""

from django.db import migrations

FIELDS = (
    "name, protagonists, overview, keywords, poster, trailer, original_language, release_year, "
    "runtime_minutes"
)
NOTE_EDITS = """
DROP TRIGGER tmdb_movie_edited ON movies_movie;
CREATE TRIGGER tmdb_movie_edited BEFORE UPDATE OF {fields}
ON movies_movie FOR EACH ROW WHEN (OLD.tmdb_fields <> '{{}}') EXECUTE FUNCTION tmdb_note_edit();
"""

# Of a film that TMDb has filled before, only what is on the list is ever filled again.
EXPECT = """
UPDATE movies_movie
SET tmdb_fields = ARRAY(SELECT unnest(tmdb_fields || '{directors}'::varchar[]) AS field ORDER BY 1)
WHERE tmdb_fetched_at IS NOT NULL AND NOT tmdb_fields @> '{directors}'
"""
EXPECT_NO_MORE = "UPDATE movies_movie SET tmdb_fields = array_remove(tmdb_fields, 'directors')"


class Migration(migrations.Migration):
    dependencies = [("tmdb", "0003_audit"), ("movies", "0008_directors")]

    operations = [
        migrations.RunSQL(
            NOTE_EDITS.format(fields=f"{FIELDS}, directors"), NOTE_EDITS.format(fields=FIELDS)
        ),
        migrations.RunSQL(EXPECT, EXPECT_NO_MORE),
    ]
