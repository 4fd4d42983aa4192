"""Mails that are to be sent; and triggers, whoever writes: a new password ends the links by which
one could choose another, and a new address is not verified.
"""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

LINKS_END = """
CREATE FUNCTION users_end_password_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- `*`: the same password, only hashed anew.
    IF coalesce(current_setting('cinema.session', true), '') <> '*' THEN
        DELETE FROM users_mailedtoken
        WHERE user_id = NEW.id AND purpose = 'reset-password' AND used_at IS NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER users_user_password_links AFTER UPDATE OF password ON users_user
FOR EACH ROW WHEN (OLD.password <> NEW.password) EXECUTE FUNCTION users_end_password_links();
"""
LINKS_STAY = """
DROP TRIGGER users_user_password_links ON users_user;
DROP FUNCTION users_end_password_links();
"""

NEW_ADDRESS = """
CREATE FUNCTION users_unverify_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.email_verified_at := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER users_user_email BEFORE UPDATE OF email ON users_user
FOR EACH ROW WHEN (OLD.email <> NEW.email) EXECUTE FUNCTION users_unverify_email();
"""
NO_NEW_ADDRESS = """
DROP TRIGGER users_user_email ON users_user;
DROP FUNCTION users_unverify_email();
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0005_refresh_grace")]

    operations = [
        migrations.CreateModel(
            name="MailRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("verify-email", "a link to verify the address"),
                            ("reset-password", "a link to choose a new password"),
                            ("email-changed", "to the old address: there is a new one"),
                            ("password-changed", "there is a new password"),
                        ],
                        max_length=20,
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "due_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(LINKS_END, LINKS_STAY),
        migrations.RunSQL(NEW_ADDRESS, NO_NEW_ADDRESS),
    ]
