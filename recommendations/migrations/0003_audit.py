"""Triggers that keep the audit log of what staff do with the models: train, and choose."""

from django.db import migrations

TRIGGERS = {
    "recommendations_release": ("UPDATE OF is_current", "release", "is_current"),
    "recommendations_trainingrun": ("INSERT", "training-run", "state"),
}


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0002_interaction_counters"), ("audit", "0002_recording")]

    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER {table}_audit AFTER {events} ON {table} FOR EACH ROW "
            "WHEN (current_setting('cinema.audit', true) <> '') "
            f"EXECUTE FUNCTION audit_record('{name}', '', '{columns}', '')",
            f"DROP TRIGGER {table}_audit ON {table}",
        )
        for table, (events, name, columns) in TRIGGERS.items()
    ]
