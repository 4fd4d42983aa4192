"""Everything that writes sessions of one viewer, at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.builders import Client, access_token, make_user
from tests.concurrency import at_once
from tests.tokens import PASSWORD, bearer, refresh, sign_in, status_of
from users.models import Session, User

pytestmark = pytest.mark.django_db(transaction=True)

SESSIONS = "/users/me/sessions"


def log_in(email: str) -> int:
    return Client().post("/auth/login", {"email": email, "password": PASSWORD}).status_code


def change_password(user_id: int) -> int:
    user = User.objects.get(pk=user_id)
    user.set_password("something else")
    user.save(update_fields=["password"])
    return 200


@pytest.mark.parametrize("attempt", range(3))
def test_simultaneous_writes_of_sessions_end_and_respect_a_new_password(attempt: int) -> None:
    viewer = make_user(password=PASSWORD)
    pairs = [sign_in(viewer) for _ in range(3)]
    calls: list[Callable[[], int]] = [
        *(partial(log_in, viewer.email) for _ in range(2)),
        *(partial(lambda token: refresh(token).status_code, pair["refresh"]) for pair in pairs),
        *(
            partial(lambda access: bearer(access, "DELETE", SESSIONS).status_code, pair["access"])
            for pair in pairs[:2]
        ),
        partial(change_password, viewer.pk),
    ]
    assert set(at_once(calls)) <= {200, 204, 401}
    assert not Session.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize("attempt", range(3))
def test_two_sessions_that_end_each_other_leave_at_most_one(attempt: int) -> None:
    viewer = make_user()
    tokens = [access_token(viewer) for _ in range(2)]
    at_once([partial(bearer, access, "DELETE", SESSIONS) for access in tokens])
    assert [status_of(access) for access in tokens].count(200) <= 1
