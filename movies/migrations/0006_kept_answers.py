"""What trends, by an index; and a change that kept answers have to see: a new genre is listed
before it has a film.
"""

from django.db import migrations, models

GENRE_TRIGGER = """
DROP TRIGGER movies_genre_version ON movies_genre;
CREATE TRIGGER movies_genre_version AFTER {events} ON movies_genre
    FOR EACH STATEMENT EXECUTE FUNCTION movies_raise_catalogue_version();
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0005_search")]

    operations = [
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.OrderBy(models.F("ranking"), descending=True),
                models.F("id"),
                condition=models.Q(
                    ("withdrawn_at", None), models.Q(("status", "finished"), _negated=True)
                ),
                name="movie_by_trend",
            ),
        ),
        migrations.RunSQL(
            GENRE_TRIGGER.format(events="INSERT OR DELETE OR UPDATE"),
            GENRE_TRIGGER.format(events="DELETE OR UPDATE"),
        ),
    ]
