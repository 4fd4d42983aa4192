"""A write whose author is unknown stays out of the audit log, also on a connection that is new."""

import cinema.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0003_positions_of_sessions'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='user',
            name='audit',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='audit', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{is_staff,is_superuser,is_active,email,name,password}'; hidden text[] := '{email,name,password}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    IF (current_setting(\'cinema.audit\', true) <> \'\') IS NOT TRUE AND NOT (CASE TG_OP\n        WHEN \'INSERT\' THEN NEW.is_staff OR NEW.is_superuser\n        WHEN \'DELETE\' THEN OLD.is_staff OR OLD.is_superuser\n        ELSE (OLD.is_staff, OLD.is_superuser) <> (NEW.is_staff, NEW.is_superuser)\n            OR (OLD.is_staff OR OLD.is_superuser) AND OLD.is_active <> NEW.is_active\n    END) THEN\n        RETURN NULL;\n    END IF;\n    \n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'user\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='7093cd8c2f83091d95b450c3f3cbef859b67fd8f', operation='INSERT OR UPDATE OF "is_staff", "is_superuser", "is_active", "email", "name", "password" OR DELETE', pgid='pgtrigger_audit_fbb1d', table='users_user', when='AFTER')),
        ),
    ]
