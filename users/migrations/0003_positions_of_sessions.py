"""Where each session's last write is in the write-ahead log, for sites with replicas."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0002_triggers'),
    ]

    operations = [
        migrations.AddField(
            model_name='session',
            name='wal_position',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='wal_taste_version',
            field=models.PositiveBigIntegerField(editable=False, null=True),
        ),
    ]
