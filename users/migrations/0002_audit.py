"""Triggers that keep the audit log of accounts: who may do what, and what staff change.

Who becomes staff, or is no longer, is told even if nobody said who did it. What is personal is
told of without its value: the log is kept longer than an account.
"""

from django.db import migrations

IS_RECORDED = "current_setting('cinema.audit', true) <> ''"
RIGHTS_CHANGE = """
    OLD.is_staff <> NEW.is_staff OR OLD.is_superuser <> NEW.is_superuser
    OR ((OLD.is_staff OR OLD.is_superuser) AND OLD.is_active <> NEW.is_active)
"""
COLUMNS = "is_staff is_superuser is_active email name password"
SECRET = "email name password"  # noqa: S105 - the names of columns

TRIGGERS = {
    "insert": ("INSERT", "NEW.is_staff OR NEW.is_superuser"),
    "update": (f"UPDATE OF {COLUMNS.replace(' ', ', ')}", RIGHTS_CHANGE),
    "delete": ("DELETE", "OLD.is_staff OR OLD.is_superuser"),
}


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial"), ("audit", "0002_recording")]

    operations = [
        migrations.AlterModelOptions("user", {"verbose_name": "viewer"}),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER users_user_audit_{name} AFTER {events} ON users_user FOR EACH ROW "
                f"WHEN ({IS_RECORDED} OR {condition}) "
                f"EXECUTE FUNCTION audit_record('user', '', '{COLUMNS}', '{SECRET}')",
                f"DROP TRIGGER users_user_audit_{name} ON users_user",
            )
            for name, (events, condition) in TRIGGERS.items()
        ),
        # Tokens come and go with each sign-in; that staff end a viewer's session is told.
        migrations.RunSQL(
            "CREATE TRIGGER users_refreshtoken_audit_delete AFTER DELETE ON users_refreshtoken "
            f"FOR EACH ROW WHEN ({IS_RECORDED}) EXECUTE FUNCTION "
            "audit_record('refresh-token', '', 'user_id family', '')",
            "DROP TRIGGER users_refreshtoken_audit_delete ON users_refreshtoken",
        ),
    ]
