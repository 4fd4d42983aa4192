"""A write whose author is unknown stays out of the audit log, also on a connection that is new."""

import cinema.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('movies', '0003_fewer_indexes_of_screenings'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='genre',
            name='audit_and_catalogue_version',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='hall',
            name='audit_and_catalogue_version',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='genre',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{slug,name}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF (current_setting(\'cinema.audit\', true) <> \'\') IS NOT TRUE THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'genre\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='529c1c572d5f03832f102aae6f15f68e6a2f5d2e', operation='INSERT OR UPDATE OF "slug", "name" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_35484', table='movies_genre', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hall',
            trigger=pgtrigger.compiler.Trigger(name='audit_and_catalogue_version', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{name}'; hidden text[] := '{}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)\n    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;\n IF (current_setting(\'cinema.audit\', true) <> \'\') IS NOT TRUE THEN RETURN NULL; END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'hall\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='d441e0e857014cc6e45c00989985a5fe18a3a805', operation='INSERT OR UPDATE OF "name" OR DELETE', pgid='pgtrigger_audit_and_catalogue_version_01ec0', table='movies_hall', when='AFTER')),
        ),
    ]
