"""The series of a film wherever directors are: in the audit log, and in what searches look at."""

from importlib import import_module

from django.db import migrations, models

directors = import_module("movies.migrations.0008_directors")
AUDITED = f"{directors.AUDITED} directors"
SEARCHED = f"{directors.SEARCHED} directors"


class Migration(migrations.Migration):
    dependencies = [("movies", "0008_directors")]

    operations = [
        migrations.AddField(
            model_name="movie",
            name="series",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.RunSQL(
            directors.audit_triggers(f"{AUDITED} series"), directors.audit_triggers(AUDITED)
        ),
        migrations.RunSQL(
            directors.search_trigger(f"{SEARCHED} series"), directors.search_trigger(SEARCHED)
        ),
    ]
