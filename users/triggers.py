"""Triggers that run when accounts are written."""

from __future__ import annotations

import pgtrigger

from cinema.triggers import IS_RECORDED, Audit, Trigger

#: Changes of the rights of staff are recorded even if the author is unknown, as in psql.
USER_AUDIT = Audit(
    "user",
    ["is_staff", "is_superuser", "is_active", "email", "name", "password"],
    hidden=["email", "name", "password"],
    always=True,
    prelude=f"""
    IF ({IS_RECORDED}) IS NOT TRUE AND NOT (CASE TG_OP
        WHEN 'INSERT' THEN NEW.is_staff OR NEW.is_superuser
        WHEN 'DELETE' THEN OLD.is_staff OR OLD.is_superuser
        ELSE (OLD.is_staff, OLD.is_superuser) <> (NEW.is_staff, NEW.is_superuser)
            OR (OLD.is_staff OR OLD.is_superuser) AND OLD.is_active <> NEW.is_active
    END) THEN
        RETURN NULL;
    END IF;
    """,
)

#: End a viewer's sessions and the mailed links to reset the password with a new password, and
#: hold a new address for unverified. A trigger does this and not Python, because Django's own
#: forms and commands, and psql, set passwords too: a thief's session must not survive them.
#: `users.models.User` passes it by where it only hashes the same password again.
CREDENTIALS = Trigger(
    name="credentials",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("email", "password"),
    func="""
    IF OLD.email <> NEW.email THEN
        NEW.email_verified_at := NULL;
    END IF;
    IF OLD.password <> NEW.password THEN
        UPDATE users_session SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
        DELETE FROM users_mailedtoken
        WHERE user_id = NEW.id AND purpose = 'reset-password' AND used_at IS NULL;
    END IF;
    RETURN NEW;
    """,
)

#: Raise the taste version of viewers who preferred a genre that is deleted. A trigger does this
#: and not Python, because the genre's deletion cascades, and `movies` does not know preferences.
#: The other changes of preferences, favourites and the history raise it in their services.
PREFERRED_GENRES_DELETED = Trigger(
    name="taste_version",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Delete,
    referencing=pgtrigger.Referencing(old="removed"),
    # Locked in the order of ids: two statements that change several viewers cannot deadlock.
    func="""
    PERFORM FROM users_user WHERE id IN (SELECT preferences_id FROM removed)
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE users_user SET taste_version = taste_version + 1
    WHERE id IN (SELECT preferences_id FROM removed);
    RETURN NULL;
    """,
)
