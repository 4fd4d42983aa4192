"""`GET /audit`: who changed what, for staff."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from cinema.audit.models import AuditEntry
from cinema.audit.recording import recording_as
from cinema.audit.tasks import prune
from movies.models import Movie
from tests.admin_pages import page
from tests.builders import Client, make_movie, make_screening, make_user
from tests.catalogue import refused_fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie() -> Movie:
    """Posted with a screening by a command."""
    with recording_as(via="command", path="import_movies"):
        return make_screening(make_movie(name="Cléo"), hall="Large").movie


def found(client: Client, **query: Any) -> list[tuple[str, str]]:
    answer = client.get("/audit", **query)
    assert answer.status_code == 200, answer.content
    return [(entry["action"], entry["model"]) for entry in answer.json()["data"]]


def test_entries_are_for_staff_alone(anonymous: Client, viewer: Client, staff: Client) -> None:
    assert anonymous.get("/audit").status_code == 401
    assert viewer.get("/audit").status_code == 403
    assert staff.get("/audit").status_code == 200


@pytest.mark.real_clock
def test_entries_come_newest_first_with_all_that_is_known(staff: Client, movie: Movie) -> None:
    began_at = timezone.now()
    staff.patch(f"/movies/{movie.pk}", {"name": "Cléo from 5 to 7"})
    entry = staff.get("/audit", per_page=1).json()["data"][0]
    assert began_at <= datetime.fromisoformat(entry.pop("at")) <= timezone.now()
    assert entry.pop("id")
    assert entry.pop("request_id")
    assert entry == {
        "user_id": staff.user.pk,
        "via": "api",
        "action": "update",
        "model": "movie",
        "object_id": movie.pk,
        "movie_id": movie.pk,
        "before": {"name": "Cléo"},
        "after": {"name": "Cléo from 5 to 7"},
        "path": f"PATCH /api/v1/movies/{movie.pk}",
    }


def test_entries_are_filtered(staff: Client, movie: Movie) -> None:
    make_user(is_staff=True)
    staff.patch(f"/movies/{movie.pk}", {"overview": "New"})
    created = [("create", "screening"), ("create", "hall"), ("create", "movie")]
    changed = ("update", "movie")
    assert found(staff, model="movie") == [changed, created[2]]
    assert found(staff, model="movie", object_id=movie.pk + 1) == []
    assert set(found(staff, movie_id=movie.pk)) == {changed, created[0], created[2]}
    assert found(staff, user_id=staff.user.pk) == [changed]
    assert sorted(found(staff, via="command")) == sorted(created)
    assert found(staff, action="update") == [changed]
    assert ("create", "user") in found(staff, via="database")
    later = (timezone.now() + timedelta(minutes=1)).isoformat()
    assert found(staff, **{"from": later}) == []
    assert len(found(staff, to=later)) == AuditEntry.objects.count()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "movies.movie"),
        ("object_id", "x"),
        ("object_id", "0"),
        ("user_id", "9" * 30),
        ("via", "magic"),
        ("action", "'; DROP TABLE"),
        ("from", "yesterday"),
        ("to", "2026-12-03T20:00:00"),
        ("page", "0"),
    ],
)
def test_an_invalid_filter_is_named(staff: Client, name: str, value: str) -> None:
    assert refused_fields(staff.get("/audit", **{name: value})) == [f"query.{name}"]


def test_a_page_of_any_length_takes_the_same_queries(
    staff: Client, movie: Movie, django_assert_num_queries: Any
) -> None:
    for _ in range(20):
        staff.patch(f"/movies/{movie.pk}", {"overview": timezone.now().isoformat()})
    for per_page in (1, 100):
        with django_assert_num_queries(3):  # who asks; how many, which
            staff.get("/audit", per_page=per_page)


def test_the_log_is_not_written_through_the_api(staff: Client) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert staff.send(method, "/audit", {}).status_code == 405


# --- in the admin site


def test_the_history_of_a_film_tells_of_it_and_of_its_screenings(
    admin_client: Browser, movie: Movie
) -> None:
    html = admin_client.get(page(Movie, "history", movie.pk)).content.decode()
    assert "film Cléo" in html
    assert "screening Cléo" in html
    assert "Large" in html
    assert "import_movies" in html


def test_the_log_names_people_halls_and_films_with_a_fixed_number_of_queries(
    admin_client: Browser, movie: Movie, django_assert_num_queries: Any
) -> None:
    def count(rows: int) -> None:
        for _ in range(rows):
            user = make_user(is_staff=True)
            with recording_as(via="api", path="test", user_id=user.pk):
                make_screening()
        # Session, user; staff to filter by; how many, nearly and exactly; which; the names of
        # films, halls and people.
        with django_assert_num_queries(9):
            html = admin_client.get(page(AuditEntry, "")).content.decode()
        assert user.email in html

    count(1)
    count(10)


def test_an_erased_user_is_a_number_in_the_log(admin_client: Browser) -> None:
    user = make_user(email="agnes@example.org", is_staff=True)
    with recording_as(via="api", path="test", user_id=user.pk):
        make_movie()
    user_id = user.pk
    user.delete()
    html = admin_client.get(page(AuditEntry, "")).content.decode()
    assert "agnes@example.org" not in html
    assert f"user {user_id}, erased" in html


def test_the_log_is_not_written_in_the_admin_site(admin_client: Browser, movie: Movie) -> None:
    entry = AuditEntry.objects.all()[0]
    for name in ("change", "delete"):
        answer = admin_client.post(page(AuditEntry, name, entry.pk), {"post": "yes"})
        assert answer.status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    admin_client.post(page(AuditEntry, ""), chosen)
    assert AuditEntry.objects.filter(pk=entry.pk).exists()


def test_markup_in_entries_is_shown_as_text(admin_client: Browser) -> None:
    with recording_as(via="api", path="<script>alert(1)</script>"):
        movie = make_movie(name="<img src=x onerror=alert(1)>")
    for path in (page(AuditEntry, ""), page(Movie, "history", movie.pk), "/admin/"):
        html = admin_client.get(path).content.decode()
        assert "<img src=x" not in html
        assert "<script>alert(1)" not in html


@pytest.mark.real_clock
def test_old_entries_are_pruned(
    settings: Any, movie: Movie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema.partitions.ROWS_DELETED_AT_ONCE", 1)
    settings.AUDIT_KEEP_DAYS = 30
    young, *old = AuditEntry.objects.all()
    AuditEntry.objects.exclude(pk=young.pk).update(at=timezone.now() - timedelta(days=31))
    prune()
    assert len(old) > 1
    assert [entry.pk for entry in AuditEntry.objects.all()] == [young.pk]


@pytest.mark.parametrize("moment", ["0059-03-15T01:04:25+17:40", "9999-12-31T23:59:59-23:59"])
def test_a_moment_that_no_clock_can_hold_is_refused(staff: Client, moment: str) -> None:
    """Found by `make fuzz`."""
    answer = staff.get("/audit", **{"from": moment, "to": moment})
    assert refused_fields(answer) == ["query.from", "query.to"]
