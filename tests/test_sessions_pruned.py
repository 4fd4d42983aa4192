"""Expired refresh tokens are deleted at once, and ended sessions after a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from cinema.celery import app
from cinema.locks import single_run
from tests.builders import access_token, make_user
from tests.concurrency import at_once
from tests.tokens import PASSWORD, refresh, sign_in, status_of
from users import sessions
from users.models import RefreshToken, Session
from users.sessions import open_session
from users.tasks import prune_sessions

pytestmark = pytest.mark.django_db

NOTHING = {"refresh tokens": 0, "sessions": 0}


def days(number: float) -> timedelta:
    return timedelta(days=number)


def test_sessions_that_ended_long_ago_are_deleted() -> None:
    assert days(30) == sessions.ENDED_SESSIONS_KEPT
    viewer, now = make_user(), timezone.now()
    kept = [
        {},
        {"revoked_at": now - days(29)},
        {"expires_at": now - days(29)},
    ]
    gone: list[dict[str, Any]] = [
        {"revoked_at": now - days(31)},
        {"expires_at": now - days(31)},
        {"expires_at": now - days(40), "revoked_at": now - days(50)},
    ]
    keys = []
    for fields in (*kept, *gone):
        session = open_session(user=viewer)
        Session.objects.filter(pk=session.pk).update(**fields)
        keys.append(session.pk)
    assert sessions.prune_sessions() == {**NOTHING, "sessions": 3}
    assert [*Session.objects.order_by("pk").values_list("pk", flat=True)] == keys[:3]
    assert sessions.prune_sessions() == NOTHING


def test_expired_tokens_are_deleted() -> None:
    viewer, now = make_user(password=PASSWORD), timezone.now()
    pair = refresh(sign_in(viewer)["refresh"]).json()
    RefreshToken.objects.filter(spent_at__isnull=False).update(expires_at=now - days(0.1))
    assert sessions.prune_sessions() == {**NOTHING, "refresh tokens": 1}
    assert refresh(pair["refresh"]).status_code == 200


def test_sessions_are_pruned_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "DELETE_BATCH", 2)
    viewer = make_user()
    for _ in range(5):
        open_session(user=viewer)
    Session.objects.update(revoked_at=timezone.now() - days(99))
    assert sessions.prune_sessions()["sessions"] == 5


def test_a_session_takes_its_tokens_along() -> None:
    pair = sign_in(make_user(password=PASSWORD))
    Session.objects.update(revoked_at=timezone.now() - days(99))
    assert sessions.prune_sessions()["sessions"] == 1
    assert not RefreshToken.objects.exists()
    assert refresh(pair["refresh"]).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_locked_row_is_left_for_the_next_time() -> None:
    open_session(user=make_user())
    Session.objects.update(revoked_at=timezone.now() - days(99))
    with transaction.atomic():
        Session.objects.select_for_update().get()
        assert at_once([sessions.prune_sessions]) == [NOTHING]
    assert sessions.prune_sessions()["sessions"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_task_runs_once_at_a_time_and_leaves_who_is_signed_in() -> None:
    access = access_token(make_user())
    open_session(user=make_user())
    Session.objects.filter(pk=Session.objects.latest("pk").pk).update(
        revoked_at=timezone.now() - days(99)
    )
    with single_run("users.prune_sessions") as acquired:
        assert acquired
        at_once([prune_sessions])
        assert Session.objects.count() == 2
    for _ in range(2):
        prune_sessions()
        assert Session.objects.count() == 1
    assert status_of(access) == 200


def test_sessions_are_pruned_every_day(settings: Any) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["users.prune_sessions"]["schedule"] == 24 * 3600
    app.loader.import_default_modules()
    assert "users.prune_sessions" in app.tasks
