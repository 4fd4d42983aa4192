"""The series of a film among the fields of TMDb, as directors are."""

from importlib import import_module

from django.db import migrations

directors = import_module("movies.tmdb.migrations.0004_directors")
FIELDS = f"{directors.FIELDS}, directors"

EXPECT = directors.EXPECT.replace("directors", "series")
EXPECT_NO_MORE = directors.EXPECT_NO_MORE.replace("directors", "series")


class Migration(migrations.Migration):
    dependencies = [("tmdb", "0004_directors"), ("movies", "0009_series")]

    operations = [
        migrations.RunSQL(
            directors.NOTE_EDITS.format(fields=f"{FIELDS}, series"),
            directors.NOTE_EDITS.format(fields=FIELDS),
        ),
        migrations.RunSQL(EXPECT, EXPECT_NO_MORE),
    ]
