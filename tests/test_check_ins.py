"""Check-ins: that a viewer was at a screening, or is about to be."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.builders import Client, make_movie, make_screening, make_user
from tests.concurrency import at_once
from tests.viewing import PATH, ago, check_in, entries, ids, moment, refused_fields, watch
from users import history
from users.models import Viewing

pytestmark = pytest.mark.django_db


def test_a_viewer_checks_in_at_a_screening(viewer: Client) -> None:
    screening = make_screening(starts_at=ago(minutes=30))
    answer = check_in(viewer, screening)
    assert answer.status_code == 201
    said = answer.json()
    assert (said["checked_in"], said["screening_id"]) == (True, screening.pk)
    assert moment(said) == screening.starts_at
    again = check_in(viewer, screening)
    assert (again.status_code, again.json()) == (200, said)


def test_one_is_there_up_to_two_hours_before(viewer: Client) -> None:
    assert check_in(viewer, make_screening(starts_at=ago(minutes=-119))).status_code == 201
    late = make_screening(starts_at=ago(minutes=-121))
    refused = check_in(viewer, late)
    assert refused.status_code == 409
    opens_at = datetime.fromisoformat(refused.json()["opens_at"])
    assert opens_at == late.starts_at - timedelta(hours=2)


def test_screenings_long_ago_count_too(viewer: Client) -> None:
    assert check_in(viewer, make_screening(starts_at=ago(days=900))).status_code == 201


def test_a_check_in_needs_a_visible_screening_that_took_place(viewer: Client) -> None:
    cancelled, hidden = (
        make_screening(starts_at=ago(hours=n), state=state)
        for n, state in ((3, "cancelled"), (5, "hidden"))
    )
    assert check_in(viewer, cancelled).status_code == 409
    assert check_in(viewer, hidden).status_code == 404
    assert check_in(Client(make_user(is_staff=True)), hidden).status_code == 404
    movie = make_movie()
    for screening_id in (999_999_999, 2**63 - 1):
        assert watch(viewer, movie, screening_id=screening_id).status_code == 404
    assert not Viewing.objects.exists()


def test_a_screening_of_another_film_is_refused(viewer: Client) -> None:
    screening = make_screening(starts_at=ago(hours=1))
    answer = watch(viewer, make_movie(), screening_id=screening.pk)
    assert refused_fields(answer) == ["body.screening_id"]


def test_a_time_given_with_a_screening_must_lie_within_it(viewer: Client) -> None:
    screening = make_screening(starts_at=ago(hours=3))  # ninety minutes
    for hours in (3.1, 1.4):
        answer = check_in(viewer, screening, watched_at=ago(hours=hours))
        assert refused_fields(answer) == ["body.watched_at"]
    within = ago(hours=2)
    answer = check_in(viewer, screening, watched_at=within)
    assert (answer.status_code, moment(answer.json())) == (201, within)
    assert check_in(viewer, screening).json() == answer.json()


def test_a_viewing_noted_before_becomes_the_check_in(viewer: Client) -> None:
    screening = make_screening(starts_at=ago(hours=3))
    noted = watch(viewer, screening.movie, watched_at=screening.starts_at).json()
    answer = check_in(viewer, screening)
    assert answer.status_code == 200
    assert answer.json() == {**noted, "checked_in": True, "screening_id": screening.pk}
    assert ids(viewer) == [noted["id"]]
    again = watch(viewer, screening.movie, watched_at=screening.starts_at)
    assert (again.status_code, again.json()) == (200, answer.json())


def test_a_second_check_in_at_the_same_time_returns_the_first(viewer: Client) -> None:
    movie, starts_at = make_movie(), ago(hours=3)
    first, second = (make_screening(movie, starts_at=starts_at) for _ in range(2))
    standing = check_in(viewer, first).json()
    again = check_in(viewer, second)
    assert (again.status_code, again.json()) == (200, standing)


def test_a_deleted_screening_leaves_the_check_in(viewer: Client, staff: Client) -> None:
    screening = make_screening(starts_at=ago(hours=3))
    said = check_in(viewer, screening).json()
    assert staff.delete(f"/screenings/{screening.pk}").status_code == 204
    [entry] = entries(viewer)
    assert entry["id"] == said["id"]
    assert (entry["checked_in"], entry["screening_id"]) == (True, None)


@pytest.mark.django_db(transaction=True)
def test_simultaneous_check_ins_make_one_entry_within_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MAX_VIEWINGS", 3)
    user, screening = make_user(), make_screening(starts_at=ago(hours=3))
    noted: dict[str, Any] = {
        "movie_id": screening.movie_id,
        "watched_at": screening.starts_at,
    }
    checked_in: dict[str, Any] = {"movie_id": screening.movie_id, "screening_id": screening.pk}

    def post(payload: dict[str, Any]) -> int:
        return Client(user).post(PATH, payload).status_code

    calls = [partial(post, payload) for payload in [noted, checked_in] * 3]
    assert sorted(at_once(calls)) == [200] * 5 + [201]
    viewing = Viewing.objects.get()
    assert (viewing.checked_in, viewing.screening_id) == (True, screening.pk)
    others = [{**noted, "watched_at": ago(days=days)} for days in range(1, 6)]
    statuses = at_once([partial(post, payload) for payload in others])
    assert sorted(statuses) == [201, 201, 409, 409, 409]


@pytest.mark.django_db(transaction=True)
def test_a_check_in_beside_a_deletion_is_kept_or_refused() -> None:
    user, staff = make_user(), make_user(is_staff=True)
    for hours in range(3, 7):
        screening = make_screening(starts_at=ago(hours=hours))
        path = f"/screenings/{screening.pk}"
        posted, deleted = at_once(
            [
                partial(lambda one: check_in(Client(user), one).status_code, screening),
                partial(lambda path: Client(staff).delete(path).status_code, path),
            ]
        )
        assert deleted == 204
        assert posted in (201, 404)
        noted = list(Viewing.objects.filter(movie_id=screening.movie_id))
        assert len(noted) == (posted == 201)
        assert all(one.checked_in and one.screening_id is None for one in noted)
