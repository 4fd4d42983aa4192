"""The triggers that the models declare; those that older migrations made are dropped."""

import cinema.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

DROP = """
DROP FUNCTION IF EXISTS
    users_raise_taste_version, users_taste_changed, users_end_sessions,
    users_end_password_links, users_unverify_email
CASCADE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_squashed'),
        ('users', '0001_squashed'),
    ]

    operations = [
        # Dropping a function drops its triggers.
        migrations.RunSQL(DROP),
        pgtrigger.migrations.AddTrigger(
            model_name='preferredgenre',
            trigger=pgtrigger.compiler.Trigger(name='taste_version', sql=cinema.triggers.TriggerSql(func='\n    PERFORM FROM users_user WHERE id IN (SELECT preferences_id FROM removed)\n    ORDER BY id FOR NO KEY UPDATE;\n    UPDATE users_user SET taste_version = taste_version + 1\n    WHERE id IN (SELECT preferences_id FROM removed);\n    RETURN NULL;\n    ', hash='280969136fdfa22f5796067cd2a3764df107e720', level='STATEMENT', operation='DELETE', pgid='pgtrigger_taste_version_7e3b0', referencing='REFERENCING OLD TABLE AS removed ', table='users_preferences_genres', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='credentials', sql=cinema.triggers.TriggerSql(func="\n    IF OLD.email <> NEW.email THEN\n        NEW.email_verified_at := NULL;\n    END IF;\n    IF OLD.password <> NEW.password THEN\n        UPDATE users_session SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;\n        DELETE FROM users_mailedtoken\n        WHERE user_id = NEW.id AND purpose = 'reset-password' AND used_at IS NULL;\n    END IF;\n    RETURN NEW;\n    ", hash='dd4fccda195710d911dc72b87a9926cf90850716', operation='UPDATE OF "email", "password"', pgid='pgtrigger_credentials_21864', table='users_user', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='audit', sql=cinema.triggers.TriggerSql(declare="DECLARE old_row jsonb := to_jsonb(OLD); new_row jsonb := to_jsonb(NEW); columns text[] := '{is_staff,is_superuser,is_active,email,name,password}'; hidden text[] := '{email,name,password}'; author jsonb := COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}');", func='\n    IF NOT (current_setting(\'cinema.audit\', true) <> \'\') AND NOT (CASE TG_OP\n        WHEN \'INSERT\' THEN NEW.is_staff OR NEW.is_superuser\n        WHEN \'DELETE\' THEN OLD.is_staff OR OLD.is_superuser\n        ELSE (OLD.is_staff, OLD.is_superuser) <> (NEW.is_staff, NEW.is_superuser)\n            OR (OLD.is_staff OR OLD.is_superuser) AND OLD.is_active <> NEW.is_active\n    END) THEN\n        RETURN NULL;\n    END IF;\n    \n    IF TG_OP = \'UPDATE\' THEN\n        columns := ARRAY(\n            SELECT name FROM unnest(columns) AS name\n            WHERE old_row -> name IS DISTINCT FROM new_row -> name\n        );\n        IF columns = \'{}\' THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n    INSERT INTO audit_auditentry\n        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)\n    VALUES (\n        clock_timestamp(), (author ->> \'user_id\')::bigint, COALESCE(author ->> \'via\', \'database\'),\n        CASE TG_OP WHEN \'INSERT\' THEN \'create\' WHEN \'UPDATE\' THEN \'update\' ELSE \'delete\' END,\n        \'user\', (COALESCE(new_row, old_row) ->> \'id\')::bigint,\n        (COALESCE(new_row, old_row) ->> \'\')::bigint,\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(old_row) WHERE key = ANY (columns)),\n        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN \'"…"\' ELSE value END)\n         FROM jsonb_each(new_row) WHERE key = ANY (columns)),\n        COALESCE(author ->> \'request_id\', \'\'), COALESCE(author ->> \'path\', \'\')\n    );\n    RETURN NULL;\n', hash='542352425c538729787bd8031616e00855010b8c', operation='INSERT OR UPDATE OF "is_staff", "is_superuser", "is_active", "email", "name", "password" OR DELETE', pgid='pgtrigger_audit_fbb1d', table='users_user', when='AFTER')),
        ),
    ]
