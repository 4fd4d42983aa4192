"""Accounts in the audit log: who may do what, and nothing personal."""

from __future__ import annotations

import pytest

from cinema.audit.models import AuditEntry
from cinema.audit.recording import recording_as
from tests.builders import make_user

pytestmark = pytest.mark.django_db


def test_an_appointment_to_staff_is_recorded_whoever_made_it(db: None) -> None:
    user = make_user()
    assert not AuditEntry.objects.exists()
    user.is_staff = True
    user.save()
    [entry] = AuditEntry.objects.all()
    assert (entry.model, entry.object_id, entry.via) == ("user", user.pk, "database")
    assert (entry.before, entry.after) == ({"is_staff": False}, {"is_staff": True})
    boss = make_user(is_staff=True, is_superuser=True)
    assert AuditEntry.objects.get(action="create").object_id == boss.pk


def test_nothing_personal_gets_into_the_log(db: None) -> None:
    user = make_user(email="agnes@example.org", name="Agnès")
    user_id = user.pk
    with recording_as(via="admin", path="POST /admin/"):
        user.email, user.name, user.is_active = "cleo@example.org", "Cléo", False
        user.set_password("something else")
        user.save()
        user.delete()
    changed, deleted = AuditEntry.objects.filter(object_id=user_id).order_by("id")
    assert changed.after == {"email": "…", "name": "…", "password": "…", "is_active": False}
    assert deleted.before is not None
    written = str([changed.before, changed.after, deleted.before])
    assert not [word for word in ("example.org", "Agn", "Cléo", "argon2") if word in written]
