"""Directors wherever keywords are: in the audit log, and in what searches look at."""

from importlib import import_module

import django.contrib.postgres.fields
from django.db import migrations, models

AUDITED: str = import_module("movies.migrations.0004_audit").TABLES["movies_movie"][2]

#: Upon a change of which the log is written, and a film's document for searches made anew.
AUDIT = """
DROP TRIGGER movies_movie_audit_{event} ON movies_movie;
CREATE TRIGGER movies_movie_audit_{event} AFTER {when} ON movies_movie FOR EACH ROW
WHEN (current_setting('cinema.audit', true) <> '')
EXECUTE FUNCTION audit_record('movie', 'id', '{columns}', '');
"""
SEARCHED = (
    "name protagonists overview keywords genre_ids status original_language release_year "
    "withdrawn_at"
)
SEARCH = """
DROP TRIGGER movies_movie_search_stale ON movies_movie;
CREATE TRIGGER movies_movie_search_stale AFTER UPDATE OF {columns}
ON movies_movie FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new}))
EXECUTE FUNCTION movies_mark_search_stale();
"""


def audit_triggers(columns: str) -> str:
    events = {
        "insert": "INSERT",
        "update": f"UPDATE OF {columns.replace(' ', ', ')}",
        "delete": "DELETE",
    }
    return "".join(
        AUDIT.format(event=event, when=when, columns=columns) for event, when in events.items()
    )


def search_trigger(columns: str) -> str:
    names = columns.split()
    old, new = (", ".join(f"{row}.{name}" for name in names) for row in ("OLD", "NEW"))
    return SEARCH.format(columns=", ".join(names), old=old, new=new)


class Migration(migrations.Migration):
    dependencies = [("movies", "0007_community_score")]

    operations = [
        migrations.AddField(
            model_name="movie",
            name="directors",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=200),
                blank=True,
                db_default=models.Value("{}"),
                default=list,
                size=None,
            ),
        ),
        migrations.AddConstraint(
            model_name="movie",
            constraint=models.CheckConstraint(
                condition=models.Q(("directors__len__range", (0, 20))),
                name="movie_directors_range",
                violation_error_message="A film has at most 20 directors.",
            ),
        ),
        migrations.RunSQL(audit_triggers(f"{AUDITED} directors"), audit_triggers(AUDITED)),
        migrations.RunSQL(search_trigger(f"{SEARCHED} directors"), search_trigger(SEARCHED)),
    ]
