"""Impressions have a partition for each month."""

from typing import Any

from django.db import migrations

from cinema.partitions import MonthlyTable, partition_by_month


def partition(apps: Any, schema_editor: Any) -> None:
    partition_by_month(
        MonthlyTable("recommendations_impression", "shown_at", ["list_id", "position"])
    )


class Migration(migrations.Migration):

    # Its steps are transactions of their own: none of them may hold a lock for long.
    atomic = False

    dependencies = [
        ("recommendations", "0004_release_hold"),
    ]

    operations = [
        migrations.RunPython(partition, migrations.RunPython.noop),
    ]
