"""Triggers for what staff decide about lists: promotions and experiments.

Both stand in the audit log, and raise the catalogue's version: what a process derives from them
follows within half a second, as films do.
"""

from django.db import migrations

#: By table: what it is called in the log, the column with the film's id, the columns told of.
TABLES = {
    "recommendations_promotion": (
        "promotion",
        "movie_id",
        "movie_id kind place strength scope note starts_at ends_at",
    ),
    "recommendations_experiment": (
        "experiment",
        "",
        "name algorithm_a algorithm_b share starts_at ends_at",
    ),
}


def audit(table: str, event: str) -> migrations.RunSQL:
    name, movie, columns = TABLES[table]
    events = f"UPDATE OF {columns.replace(' ', ', ')}" if event == "update" else event.upper()
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_audit_{event} AFTER {events} ON {table} FOR EACH ROW "
        "WHEN (current_setting('cinema.audit', true) <> '') "
        f"EXECUTE FUNCTION audit_record('{name}', '{movie}', '{columns}', '')",
        f"DROP TRIGGER {table}_audit_{event} ON {table}",
    )


def version(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_version AFTER INSERT OR DELETE OR UPDATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION movies_raise_catalogue_version()",
        f"DROP TRIGGER {table}_version ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0009_lists_and_matches"),
        ("movies", "0002_catalogue_version"),
        ("audit", "0002_recording"),
    ]

    operations = [
        *(audit(table, event) for table in TABLES for event in ("insert", "update", "delete")),
        *(version(table) for table in TABLES),
    ]
