"""The log has a partition for each month."""

from typing import Any

from django.db import migrations

from cinema.partitions import MonthlyTable, partition_by_month


def partition(apps: Any, schema_editor: Any) -> None:
    partition_by_month(MonthlyTable("audit_auditentry", "at", ["id"]))


class Migration(migrations.Migration):

    # Its steps are transactions of their own: none of them may hold a lock for long.
    atomic = False

    dependencies = [
        ("audit", "0001_squashed"),
    ]

    operations = [
        # Older versions use a partitioned table as any other.
        migrations.RunPython(partition, migrations.RunPython.noop),
    ]
