"""A write whose author is unknown stays out of the audit log, also on a connection that is new."""

import cinema.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('recommendations', '0005_months_of_impressions'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='experiment',
            name='audit_and_catalogue_version',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='promotion',
            name='audit_and_catalogue_version',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='experiment',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{name,algorithm_a,algorithm_b,share,starts_at,ends_at}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF (current_setting(\'cinema.audit\', true) <> \'\') IS NOT TRUE THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'experiment\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='617ec71db7124ea8c080b656b27bc1ecb6a00589', operation='INSERT OR UPDATE OF "name", "algorithm_a", "algorithm_b", "share", "starts_at", "ends_at" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_9373d', table='recommendations_experiment', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promotion',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{movie_id,kind,place,strength,scope,note,starts_at,ends_at}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF (current_setting(\'cinema.audit\', true) <> \'\') IS NOT TRUE THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'promotion\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'movie_id\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='531d3fdebb9d8c78e9ac0f9d82768e2f4eb68d9d', operation='INSERT OR UPDATE OF "movie_id", "kind", "place", "strength", "scope", "note", "starts_at", "ends_at" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_d748c', table='recommendations_promotion', when='AFTER')),
        ),
    ]
