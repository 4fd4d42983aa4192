"""The triggers that the models declare; those that older migrations made are dropped."""

import cinema.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

DROP = """
DROP FUNCTION IF EXISTS
    recommendations_count_interactions, recommendations_add_ratings,
    audit_record, audit_write, audit_tell
CASCADE;
DROP TYPE IF EXISTS recommendations_change;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('movies', '0002_triggers'),
        ('users', '0002_triggers'),
        ('recommendations', '0001_squashed'),
    ]

    operations = [
        # Dropping a function drops its triggers.
        migrations.RunSQL(DROP),
        pgtrigger.migrations.AddTrigger(
            model_name='experiment',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{name,algorithm_a,algorithm_b,share,starts_at,ends_at}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF NOT (current_setting(\'cinema.audit\', true) <> \'\') THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'experiment\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='c8221216506f5ae1ef855b2f7b804e658f90cc34', operation='INSERT OR UPDATE OF "name", "algorithm_a", "algorithm_b", "share", "starts_at", "ends_at" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_9373d', table='recommendations_experiment', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_insert', sql=cinema.triggers.TriggerSql(declare='DECLARE movies bigint[]; counts bigint[]; sums float8[];', func='\n            SELECT array_agg(movie_id), array_agg(n), array_agg(s) INTO movies, counts, sums\n            FROM (\n                SELECT movie_id, sum(factor) AS n, sum(factor * half_stars) / 2.0::float8 AS s\n                FROM (SELECT *, 1 AS factor FROM added) AS changes WHERE kind = 1 GROUP BY movie_id\n            ) AS by_movie WHERE n <> 0 OR s <> 0;\n            PERFORM FROM movies_movie WHERE id = ANY (movies) ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(movies, counts, sums) AS change (movie_id, n, s)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1 WHERE id IN (SELECT user_id FROM added);\n            RETURN NULL;\n            ', hash='10d5860f1db686113333a5ad1bfd3d04e38bf37a', level='STATEMENT', operation='INSERT', pgid='pgtrigger_counts_insert_8ad36', referencing='REFERENCING NEW TABLE AS added ', table='recommendations_interaction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_update', sql=cinema.triggers.TriggerSql(declare='DECLARE movies bigint[]; counts bigint[]; sums float8[];', func='\n            SELECT array_agg(movie_id), array_agg(n), array_agg(s) INTO movies, counts, sums\n            FROM (\n                SELECT movie_id, sum(factor) AS n, sum(factor * half_stars) / 2.0::float8 AS s\n                FROM (SELECT *, 1 AS factor FROM added UNION ALL SELECT *, -1 FROM removed) AS changes WHERE kind = 1 GROUP BY movie_id\n            ) AS by_movie WHERE n <> 0 OR s <> 0;\n            PERFORM FROM movies_movie WHERE id = ANY (movies) ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(movies, counts, sums) AS change (movie_id, n, s)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1 WHERE id IN (SELECT user_id FROM added UNION SELECT user_id FROM removed);\n            RETURN NULL;\n            ', hash='634bfc69a393fb84f90e9fa31d803ce13a7f63c5', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_counts_update_1f50b', referencing='REFERENCING OLD TABLE AS removed  NEW TABLE AS added ', table='recommendations_interaction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='interaction',
            trigger=pgtrigger.compiler.Trigger(name='counts_delete', sql=cinema.triggers.TriggerSql(declare='DECLARE movies bigint[]; counts bigint[]; sums float8[];', func='\n            SELECT array_agg(movie_id), array_agg(n), array_agg(s) INTO movies, counts, sums\n            FROM (\n                SELECT movie_id, sum(factor) AS n, sum(factor * half_stars) / 2.0::float8 AS s\n                FROM (SELECT *, -1 AS factor FROM removed) AS changes WHERE kind = 1 GROUP BY movie_id\n            ) AS by_movie WHERE n <> 0 OR s <> 0;\n            PERFORM FROM movies_movie WHERE id = ANY (movies) ORDER BY id FOR NO KEY UPDATE;\n            UPDATE movies_movie AS movie\n            SET rating_count = rating_count + n, rating_sum = rating_sum + s\n            FROM unnest(movies, counts, sums) AS change (movie_id, n, s)\n            WHERE movie.id = movie_id;\n            UPDATE users_user SET taste_version = taste_version + 1 WHERE id IN (SELECT user_id FROM removed);\n            RETURN NULL;\n            ', hash='e1347169d9178b95e8994605c3e1608096f575ce', level='STATEMENT', operation='DELETE', pgid='pgtrigger_counts_delete_aba29', referencing='REFERENCING OLD TABLE AS removed ', table='recommendations_interaction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promotion',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{movie_id,kind,place,strength,scope,note,starts_at,ends_at}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF NOT (current_setting(\'cinema.audit\', true) <> \'\') THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'promotion\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'movie_id\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='bb6995d374284ff3ac87d70bb1112afff6f42ad0', operation='INSERT OR UPDATE OF "movie_id", "kind", "place", "strength", "scope", "note", "starts_at", "ends_at" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_d748c', table='recommendations_promotion', when='AFTER')),
        ),
    ]
