"""Counts whose plans are kept, and no index on the viewer beside the unique one that begins with it."""

import cinema.triggers
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recommendations', '0002_triggers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='interaction',
            name='counts_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='interaction',
            name='counts_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='interaction',
            name='counts_delete',
        ),
        migrations.AlterField(
            model_name='interaction',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='interactions', to=settings.AUTH_USER_MODEL),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_insert', sql=cinema.triggers.TriggerSql(func='\n            IF NOT EXISTS (SELECT *, 1 AS factor FROM added) THEN\n                RETURN NULL;\n            END IF;\n            PERFORM FROM movies_movie\n            WHERE id = ANY (ARRAY(SELECT movie_id FROM (SELECT *, 1 AS factor FROM added) AS change WHERE kind = 1))\n            ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(ARRAY(\n                SELECT ROW (movie_id, sum(factor), sum(factor * half_stars) / 2.0::float8)\n                FROM (SELECT *, 1 AS factor FROM added) AS change WHERE kind = 1 GROUP BY movie_id\n                HAVING sum(factor) <> 0 OR sum(factor * half_stars) <> 0\n            )) AS change (movie_id bigint, n bigint, s float8)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1\n            WHERE id = ANY (ARRAY(SELECT user_id FROM (SELECT *, 1 AS factor FROM added) AS change));\n            RETURN NULL;\n            ', hash='35ec746df2cd11f231676ed6e724b1661530820d', level='STATEMENT', operation='INSERT', pgid='pgtrigger_counts_insert_8ad36', referencing='REFERENCING NEW TABLE AS added ', table='recommendations_interaction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_update', sql=cinema.triggers.TriggerSql(func='\n            IF NOT EXISTS (SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 AS factor FROM removed) THEN\n                RETURN NULL;\n            END IF;\n            PERFORM FROM movies_movie\n            WHERE id = ANY (ARRAY(SELECT movie_id FROM (SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 AS factor FROM removed) AS change WHERE kind = 1))\n            ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(ARRAY(\n                SELECT ROW (movie_id, sum(factor), sum(factor * half_stars) / 2.0::float8)\n                FROM (SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 AS factor FROM removed) AS change WHERE kind = 1 GROUP BY movie_id\n                HAVING sum(factor) <> 0 OR sum(factor * half_stars) <> 0\n            )) AS change (movie_id bigint, n bigint, s float8)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1\n            WHERE id = ANY (ARRAY(SELECT user_id FROM (SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 AS factor FROM removed) AS change));\n            RETURN NULL;\n            ', hash='47694f4d0bd51d0dde86d57f8f95fbe6ba4dbd4f', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_counts_update_1f50b', referencing='REFERENCING OLD TABLE AS removed  NEW TABLE AS added ', table='recommendations_interaction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_delete', sql=cinema.triggers.TriggerSql(func='\n            IF NOT EXISTS (SELECT *, -1 AS factor FROM removed) THEN\n                RETURN NULL;\n            END IF;\n            PERFORM FROM movies_movie\n            WHERE id = ANY (ARRAY(SELECT movie_id FROM (SELECT *, -1 AS factor FROM removed) AS change WHERE kind = 1))\n            ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(ARRAY(\n                SELECT ROW (movie_id, sum(factor), sum(factor * half_stars) / 2.0::float8)\n                FROM (SELECT *, -1 AS factor FROM removed) AS change WHERE kind = 1 GROUP BY movie_id\n                HAVING sum(factor) <> 0 OR sum(factor * half_stars) <> 0\n            )) AS change (movie_id bigint, n bigint, s float8)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1\n            WHERE id = ANY (ARRAY(SELECT user_id FROM (SELECT *, -1 AS factor FROM removed) AS change));\n            RETURN NULL;\n            ', hash='fe1255f76be6eef96ecf17fed981ba840448e609', level='STATEMENT', operation='DELETE', pgid='pgtrigger_counts_delete_aba29', referencing='REFERENCING OLD TABLE AS removed ', table='recommendations_interaction', when='AFTER')),
        ),
    ]
