"""Languages as canonical tags of BCP 47; and the catalogue's version follows the directors."""

from importlib import import_module

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from movies.languages import canonical_tag_or_none

COLUMNS = (("Movie", "original_language"), ("Screening", "language"), ("Screening", "subtitles"))

programme = import_module("movies.migrations.0003_programme")
OLD_COLUMNS: str = programme.MOVIE_COLUMNS
NEW_COLUMNS = f"{OLD_COLUMNS.rstrip()}, directors"

# A search for films in `zh` finds `zh-Hant`, and in `no` finds `nb`, once their documents say so.
MARK_STALE = """
UPDATE movies_moviesearch SET is_stale = true WHERE movie_id IN (
    SELECT id FROM movies_movie WHERE original_language ~ '^(nb|nn)$|-'
)
"""


def canonicalise(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Replace each code by its tag; a code that is none stays as it is."""
    # TMDb's fields go on counting as TMDb's: this edits none of them.
    editor.execute("SELECT set_config('cinema.tmdb_is_writing', 'yes', true)")
    for name, column in COLUMNS:
        rows = apps.get_model("movies", name)._default_manager.order_by()
        for code in rows.exclude(**{column: None}).values_list(column, flat=True).distinct():
            if (tag := canonical_tag_or_none(code) or code or None) != code:
                rows.filter(**{column: code}).update(**{column: tag})
    editor.execute("SELECT set_config('cinema.tmdb_is_writing', 'no', true)")


class Migration(migrations.Migration):
    dependencies = [("movies", "0009_series")]

    operations = [
        migrations.RunPython(canonicalise, migrations.RunPython.noop),
        migrations.RunSQL(MARK_STALE, migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="movie", name="movie_by_language"),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                fields=["original_language"],
                opclasses=["varchar_pattern_ops"],
                name="movie_by_language",
            ),
        ),
        migrations.RunSQL(
            programme.VERSION_TRIGGER.format(columns=NEW_COLUMNS),
            programme.VERSION_TRIGGER.format(columns=OLD_COLUMNS),
        ),
    ]
