"""The function behind the triggers that the apps put on their tables.

    CREATE TRIGGER hall_audit_insert AFTER INSERT ON movies_hall FOR EACH ROW
    WHEN (current_setting('cinema.audit', true) <> '')
    EXECUTE FUNCTION audit_record('hall', '', 'name', '');

Its arguments: what the table is called in the log; the column with the film's id, or nothing; the
columns that are told of; of these, the ones whose values are nobody's business; and the column
of the primary key, unless it is `id`.
"""

from django.db import migrations

# `cinema/audit/recording.py` sets the parameter for the transaction. All that goes into a column
# with a limit is cut there: a write must not fail because of its record.
WRITE = """
CREATE FUNCTION audit_write(
    action text, model text, object_id bigint, movie_id bigint, was jsonb, is_now jsonb
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit_auditentry
        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)
    SELECT clock_timestamp(), (who ->> 'user_id')::bigint, COALESCE(who ->> 'via', 'database'),
           action, model, object_id, movie_id, was, is_now,
           COALESCE(who ->> 'request_id', ''), COALESCE(who ->> 'path', '')
    FROM (SELECT COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}')::jsonb)
         AS author (who)
$$;
"""

TELL = """
CREATE FUNCTION audit_tell(whole jsonb, told text[], secret text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY (secret) THEN '"…"' ELSE value END)
    FROM jsonb_each(whole) WHERE key = ANY (told)
$$;
"""

RECORD = """
CREATE FUNCTION audit_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    whole jsonb := COALESCE(is_now, was);
    told text[] := string_to_array(TG_ARGV[2], ' ');
    secret text[] := string_to_array(TG_ARGV[3], ' ');
BEGIN
    IF TG_OP = 'UPDATE' THEN
        told := ARRAY(SELECT name FROM unnest(told) AS name
                      WHERE was -> name IS DISTINCT FROM is_now -> name);
        IF told = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM audit_write(
        CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
        TG_ARGV[0],
        (whole ->> COALESCE(TG_ARGV[4], 'id'))::bigint,
        (whole ->> NULLIF(TG_ARGV[1], ''))::bigint,
        CASE WHEN was IS NOT NULL THEN audit_tell(was, told, secret) END,
        CASE WHEN is_now IS NOT NULL THEN audit_tell(is_now, told, secret) END
    );
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(
            WRITE, "DROP FUNCTION audit_write(text, text, bigint, bigint, jsonb, jsonb)"
        ),
        migrations.RunSQL(TELL, "DROP FUNCTION audit_tell(jsonb, text[], text[])"),
        migrations.RunSQL(RECORD, "DROP FUNCTION audit_record()"),
    ]
