"""The indexes of screenings by film and by hall begin with a start; the plain ones had no use."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('movies', '0002_triggers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='screening',
            name='hall',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='screenings', to='movies.hall'),
        ),
        migrations.AlterField(
            model_name='screening',
            name='movie',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='screenings', to='movies.movie'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(condition=models.Q(('withdrawn_at__isnull', False)), fields=['id'], name='movie_withdrawn'),
        ),
    ]
