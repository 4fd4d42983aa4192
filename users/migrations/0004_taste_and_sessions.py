"""Triggers: what a viewer's taste is read from raises `taste_version`, whoever writes it; a new
password ends the viewer's sessions, whoever sets it; and staff who end a session are recorded.
"""

from django.db import migrations

TASTE = """
CREATE FUNCTION users_taste_changed(users bigint[]) RETURNS void LANGUAGE sql AS $$
    -- In the order of the ids: two statements that change several viewers must not meet.
    SELECT FROM users_user WHERE id = ANY(users) ORDER BY id FOR NO KEY UPDATE;
    UPDATE users_user SET taste_version = taste_version + 1 WHERE id = ANY(users);
$$;

CREATE FUNCTION users_raise_taste_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    users bigint[];
BEGIN
    EXECUTE CASE TG_OP
        WHEN 'INSERT' THEN format('SELECT array_agg(DISTINCT %1$I) FROM added', TG_ARGV[0])
        WHEN 'DELETE' THEN format('SELECT array_agg(DISTINCT %1$I) FROM removed', TG_ARGV[0])
        ELSE format('SELECT array_agg(%1$I) FROM (SELECT %1$I FROM added UNION '
                    'SELECT %1$I FROM removed) rows', TG_ARGV[0])
    END INTO users;
    IF users IS NOT NULL THEN
        PERFORM users_taste_changed(users);
    END IF;
    RETURN NULL;
END $$;
"""
NO_TASTE = """
DROP FUNCTION users_raise_taste_version();
DROP FUNCTION users_taste_changed(bigint[]);
"""

SESSIONS = """
CREATE FUNCTION users_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users_session SET revoked_at = now()
    WHERE user_id = NEW.id AND revoked_at IS NULL
      -- The viewer who changes it stays signed in: `users.services` names the session.
      AND id::text <> coalesce(current_setting('cinema.session', true), '');
    RETURN NULL;
END $$;
CREATE TRIGGER users_user_password AFTER UPDATE OF password ON users_user
FOR EACH ROW WHEN (OLD.password <> NEW.password) EXECUTE FUNCTION users_end_sessions();
"""
NO_SESSIONS = """
DROP TRIGGER users_user_password ON users_user;
DROP FUNCTION users_end_sessions();
"""

#: Each with the column that holds the viewer.
READ_FROM = {
    "users_favourite": "user_id",
    "users_viewing": "user_id",
    "users_preferences": "user_id",
    "users_preferences_genres": "preferences_id",
}
TABLES = {
    "INSERT": "NEW TABLE AS added",
    "DELETE": "OLD TABLE AS removed",
    "UPDATE": "NEW TABLE AS added OLD TABLE AS removed",
}


class Migration(migrations.Migration):
    dependencies = [("users", "0003_sessions_and_lists"), ("audit", "0002_recording")]

    operations = [
        migrations.RunSQL(TASTE, NO_TASTE),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_taste_{event.lower()} AFTER {event} ON {table} "
                f"REFERENCING {transition} FOR EACH STATEMENT "
                f"EXECUTE FUNCTION users_raise_taste_version('{column}')",
                f"DROP TRIGGER {table}_taste_{event.lower()} ON {table}",
            )
            for table, column in READ_FROM.items()
            for event, transition in TABLES.items()
        ),
        migrations.RunSQL(SESSIONS, NO_SESSIONS),
        migrations.RunSQL(
            "CREATE TRIGGER users_session_audit_delete AFTER DELETE ON users_session "
            "FOR EACH ROW WHEN (current_setting('cinema.audit', true) <> '') EXECUTE FUNCTION "
            "audit_record('session', '', 'user_id', '')",
            "DROP TRIGGER users_session_audit_delete ON users_session",
        ),
    ]
