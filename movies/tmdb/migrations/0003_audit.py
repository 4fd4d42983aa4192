"""Triggers that keep the audit log of what the office has to do with TMDb: syncs and genres.

What a sync writes into films is in the log too, by the triggers of these: `tmdb.sync 12`.
"""

from django.db import migrations

#: By table: when, and the arguments of `audit_record`.
TRIGGERS = {
    "tmdb_syncreport": ("INSERT", "'tmdb-sync', '', 'kind movie_ids', ''"),
    "tmdb_tmdbgenre": ("UPDATE OF genre_id", "'tmdb-genre', '', 'genre_id', '', 'tmdb_id'"),
}


class Migration(migrations.Migration):
    dependencies = [("tmdb", "0002_provenance"), ("audit", "0002_recording")]

    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER {table}_audit AFTER {events} ON {table} FOR EACH ROW "
            "WHEN (current_setting('cinema.audit', true) <> '') "
            f"EXECUTE FUNCTION audit_record({arguments})",
            f"DROP TRIGGER {table}_audit ON {table}",
        )
        for table, (events, arguments) in TRIGGERS.items()
    ]
