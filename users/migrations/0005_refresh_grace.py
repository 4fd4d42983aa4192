"""A spent refresh token knows the salt of its successor; and a password that is only hashed anew,
as Django does at a sign-in when hashes have become dearer, ends no session.
"""

from django.db import migrations, models

END_SESSIONS = """
CREATE OR REPLACE FUNCTION users_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- The session of the viewer who changes the password, or `*` where it stays the same one:
    -- `users/models.py` tells.
    kept text := coalesce(current_setting('cinema.session', true), '');
BEGIN
    IF kept <> '*' THEN
        UPDATE users_session SET revoked_at = now()
        WHERE user_id = NEW.id AND revoked_at IS NULL AND id::text <> kept;
    END IF;
    RETURN NULL;
END $$;
"""
END_SESSIONS_BEFORE = """
CREATE OR REPLACE FUNCTION users_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users_session SET revoked_at = now()
    WHERE user_id = NEW.id AND revoked_at IS NULL
      AND id::text <> coalesce(current_setting('cinema.session', true), '');
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0004_taste_and_sessions")]

    operations = [
        migrations.AddField(
            model_name="refreshtoken",
            name="successor_salt",
            field=models.BinaryField(max_length=16, null=True),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("revoked_at__isnull", False)),
                fields=["revoked_at"],
                name="session_by_revocation",
            ),
        ),
        migrations.RunSQL(END_SESSIONS, END_SESSIONS_BEFORE),
    ]
