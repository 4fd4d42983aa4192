"""Experiments as staff set them up: who may, what goes together, what can still change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client as Browser
from django.utils import timezone

from cinema.audit.models import AuditEntry
from recommendations.models import Experiment, Impression
from tests.admin_pages import fill_in, page
from tests.builders import Client, make_movie, make_user
from tests.catalogue import refused_fields
from tests.concurrency import at_once
from tests.experimenting import make_experiment, show

pytestmark = pytest.mark.django_db


def days(number: float) -> datetime:
    return timezone.now() + timedelta(days=number)


def wanted(**fields: Any) -> dict[str, Any]:
    order = {
        "name": "Do sequences help?",
        "algorithm_a": "hybrid",
        "algorithm_b": "sequence",
        "ends_at": days(14),
        **fields,
    }
    return {name: value for name, value in order.items() if value is not ...}


def test_an_experiment_is_made_shown_changed_and_deleted(staff: Client) -> None:
    answer = staff.post("/experiments", wanted(share=0.5))
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert answer["Location"] == f"/api/v1/experiments/{made['id']}"
    assert made["state"] == "running"
    assert made["share"] == 0.5
    assert abs(datetime.fromisoformat(made["starts_at"]) - timezone.now()).total_seconds() < 60
    assert staff.get(f"/experiments/{made['id']}").json() == made
    changed = staff.patch(f"/experiments/{made['id']}", {"name": "Sequences?", "share": 1})
    assert changed.json() == {**made, "name": "Sequences?", "share": 1.0}
    assert staff.delete(f"/experiments/{made['id']}").status_code == 204
    for method in ("GET", "DELETE"):
        assert staff.send(method, f"/experiments/{made['id']}").status_code == 404
    assert staff.patch(f"/experiments/{made['id']}", {"share": 1}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ...}, "body.name"),
        ({"name": " \t"}, "body.name"),
        ({"name": "x" * 101}, "body.name"),
        ({"name": None}, "body.name"),
        ({"algorithm_a": "astrology"}, "body.algorithm_a"),
        ({"algorithm_b": ...}, "body.algorithm_b"),
        ({"algorithm_b": "hybrid"}, "body.algorithm_b"),
        ({"share": 0}, "body.share"),
        ({"share": 1.01}, "body.share"),
        ({"share": "1"}, "body.share"),
        ({"share": True}, "body.share"),
        ({"share": None}, "body.share"),
        ({"ends_at": ...}, "body.ends_at"),
        ({"ends_at": "2026-12-31T12:00:00"}, "body.ends_at"),
        ({"ends_at": 1798000000}, "body.ends_at"),
        ({"ends_at": days(-1)}, "body.ends_at"),
        ({"starts_at": days(15)}, "body"),
        ({"starts_at": "2099-12-03T12:00:00+01:00", "ends_at": "2099-12-03T11:00:00Z"}, "body"),
        ({"winner": "a"}, "body.winner"),
    ],
)
def test_an_invalid_experiment_is_refused(
    staff: Client, fields: dict[str, Any], field: str
) -> None:
    answer = staff.post("/experiments", wanted(**fields))
    assert refused_fields(answer) == [field]
    assert not Experiment.objects.exists()


def test_experiments_are_listed_by_state_in_a_fixed_number_of_queries(
    staff: Client, django_assert_num_queries: Any
) -> None:
    ended = make_experiment(starts_at=days(-20), ends_at=days(-7))
    running = make_experiment()
    upcoming = [make_experiment(starts_at=days(n), ends_at=days(n + 1)) for n in range(20, 24)]
    staff.get("/experiments")
    with django_assert_num_queries(3):  # the session, the count, the page
        listed = staff.get("/experiments").json()
    ids = [one["id"] for one in listed["data"]]
    assert ids == [*(one.pk for one in reversed(upcoming)), running.pk, ended.pk]
    for state, expected in (("ended", 1), ("running", 1), ("upcoming", 4)):
        found = staff.get("/experiments", state=state).json()
        assert found["pagination"]["total"] == expected
        assert {one["state"] for one in found["data"]} == {state}
    assert refused_fields(staff.get("/experiments", state="won")) == ["query.state"]


def test_experiments_do_not_overlap(staff: Client) -> None:
    standing = make_experiment(starts_at=days(10), ends_at=days(20))
    for start, end in ((9, 11), (11, 12), (19, 30), (1, 40)):
        answer = staff.post("/experiments", wanted(starts_at=days(start), ends_at=days(end)))
        assert answer.status_code == 409
        assert answer.json()["experiment_id"] == standing.pk
    before = staff.post("/experiments", wanted(ends_at=standing.starts_at))
    after = wanted(starts_at=standing.ends_at, ends_at=days(30))
    assert staff.post("/experiments", after).status_code == before.status_code == 201
    path = f"/experiments/{before.json()['id']}"
    assert staff.patch(path, {"ends_at": days(12)}).status_code == 409
    with pytest.raises(IntegrityError), transaction.atomic():
        make_experiment(starts_at=days(12), ends_at=days(13))


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_experiments_is_made() -> None:
    staff = Client(make_user(is_staff=True))
    answers = at_once([lambda: staff.post("/experiments", wanted()).status_code] * 3)
    assert sorted(answers) == [201, 409, 409]
    assert Experiment.objects.count() == 1


def test_a_running_experiment_keeps_its_algorithms_and_its_start(staff: Client) -> None:
    experiment = make_experiment()
    path = f"/experiments/{experiment.pk}"
    for fields in ({"algorithm_a": "ease"}, {"algorithm_b": "ease"}, {"starts_at": days(1)}):
        answer = staff.patch(path, fields)
        assert answer.status_code == 409
        assert next(iter(fields)) in answer.json()["detail"]
    same = {"algorithm_a": "als", "starts_at": experiment.starts_at, "share": 0.1}
    assert staff.patch(path, same).json()["share"] == 0.1
    assert staff.patch(path, {"ends_at": days(1)}).json()["state"] == "running"


def test_a_future_experiment_can_change_within_the_rules(staff: Client) -> None:
    path = f"/experiments/{make_experiment(starts_at=days(1), ends_at=days(9)).pk}"
    changed = staff.patch(path, {"algorithm_a": "ease", "starts_at": days(2)})
    assert changed.json()["algorithm_a"] == "ease"
    assert refused_fields(staff.patch(path, {"algorithm_a": "popularity"})) == ["body.algorithm_b"]
    assert refused_fields(staff.patch(path, {"ends_at": days(1)})) == ["body.ends_at"]
    gone = {"starts_at": days(-9), "ends_at": days(-8)}
    assert refused_fields(staff.patch(path, gone)) == ["body.ends_at"]
    assert refused_fields(staff.patch(path, {"name": None})) == ["body.name"]


def test_an_end_in_the_past_is_now_and_the_end_is_final(staff: Client) -> None:
    """Lists that were shown up to now belong to it."""
    experiment = make_experiment()
    path = f"/experiments/{experiment.pk}"
    before = timezone.now()
    ended = staff.patch(path, {"ends_at": days(-3)})
    assert ended.json()["state"] == "ended"
    assert datetime.fromisoformat(ended.json()["ends_at"]) >= before
    for fields in ({"ends_at": days(3)}, {"share": 0.5}, {"algorithm_a": "ease"}):
        assert staff.patch(path, fields).status_code == 409
    assert staff.patch(path, {"name": "Told"}).json()["name"] == "Told"


def test_an_experiment_with_impressions_is_kept(staff: Client) -> None:
    experiment = make_experiment()
    show(make_user(), [make_movie()], teams="a", experiment=experiment)
    refused = staff.delete(f"/experiments/{experiment.pk}")
    assert refused.status_code == 409
    assert refused.json()["experiment_id"] == experiment.pk
    Impression.objects.all().delete()
    assert staff.delete(f"/experiments/{experiment.pk}").status_code == 204


@pytest.mark.usefixtures("without_cache")
def test_without_valkey_only_an_experiment_to_come_is_deleted(
    staff: Client, staff_browser: Browser
) -> None:
    """Its impressions may wait there."""
    begun = [make_experiment(), make_experiment(starts_at=days(-30), ends_at=days(-20))]
    to_come = make_experiment(starts_at=days(40), ends_at=days(50))
    for experiment in begun:
        refused = staff.delete(f"/experiments/{experiment.pk}")
        assert (refused.status_code, refused["Retry-After"]) == (503, "10")
        path = page(Experiment, "delete", experiment.pk)
        told = staff_browser.post(path, {"post": "yes"}, follow=True).content.decode()
        assert "impressions cannot be read" in told
    assert staff.delete(f"/experiments/{to_come.pk}").status_code == 204
    assert Experiment.objects.count() == 2


def test_changes_of_experiments_are_recorded_with_their_author(staff: Client) -> None:
    made = staff.post("/experiments", wanted()).json()
    staff.patch(f"/experiments/{made['id']}", {"share": 0.25})
    staff.delete(f"/experiments/{made['id']}")
    entries = AuditEntry.objects.filter(model="experiment").order_by("id")
    assert [entry.action for entry in entries] == ["create", "update", "delete"]
    assert {entry.object_id for entry in entries} == {made["id"]}
    assert (entries[1].before, entries[1].after) == ({"share": 1}, {"share": 0.25})
    told = staff.get("/audit", model="experiment").json()["data"]
    assert [entry["user_id"] for entry in told] == [staff.user.pk] * 3


# --- the admin site


@pytest.fixture
def staff_browser(client: Browser) -> Browser:
    backend = "django.contrib.auth.backends.ModelBackend"
    client.force_login(make_user(is_staff=True), backend=backend)
    return client


def test_the_admin_site_makes_and_ends_one(staff_browser: Browser) -> None:
    day, before = timezone.localdate() + timedelta(days=9), timezone.now()
    values = {
        "name": " Do  sequences help? ",
        "algorithm_a": "hybrid",
        "algorithm_b": "sequence",
        "ends_at_0": day,
        "ends_at_1": "12:00",
    }
    assert fill_in(staff_browser, page(Experiment, "add"), **values) == ""
    made = Experiment.objects.get()
    assert (made.name, made.share) == ("Do sequences help?", 1.0)
    assert timezone.localtime(made.ends_at).date() == day
    assert fill_in(staff_browser, page(Experiment, "change", made.pk), share="0.5") == ""
    made.refresh_from_db()
    assert (made.algorithm_a, made.share) == ("hybrid", 0.5)
    assert made.state_at(timezone.now()) == "running"
    past = {"ends_at_0": before.date() - timedelta(days=3), "ends_at_1": "00:00"}
    assert fill_in(staff_browser, page(Experiment, "change", made.pk), **past) == ""
    made.refresh_from_db()
    assert made.ends_at >= before
    assert made.state_at(timezone.now()) == "ended"
    assert AuditEntry.objects.filter(model="experiment", via="admin").count() == 3


def test_the_admin_site_keeps_the_rules(staff_browser: Browser) -> None:
    experiment = make_experiment()
    show(make_user(), [make_movie()], teams="a", experiment=experiment)
    change = page(Experiment, "change", experiment.pk)
    fill_in(staff_browser, change, algorithm_a="ease", algorithm_b="ease", share="2")
    experiment.refresh_from_db()
    assert (experiment.algorithm_a, experiment.share) == ("als", 1.0)
    later = timezone.localdate() + timedelta(days=3)
    values = {
        "name": "Another",
        "algorithm_a": "ease",
        "algorithm_b": "als",
        "ends_at_0": later,
        "ends_at_1": "12:00",
    }
    assert "Another experiment" in fill_in(staff_browser, page(Experiment, "add"), **values)
    assert "itself" in fill_in(
        staff_browser, page(Experiment, "add"), **{**values, "algorithm_b": "ease"}
    )
    answer = staff_browser.post(
        page(Experiment, "delete", experiment.pk), {"post": "yes"}, follow=True
    )
    assert "has results" in answer.content.decode()
    assert Experiment.objects.count() == 1


def test_an_ended_experiment_is_not_changed_in_the_admin_site(staff_browser: Browser) -> None:
    experiment = make_experiment(starts_at=days(-9), ends_at=days(-1))
    change = page(Experiment, "change", experiment.pk)
    assert fill_in(staff_browser, change, name="Told", share="0.5") == ""
    experiment.refresh_from_db()
    assert (experiment.name, experiment.share) == ("Told", 1.0)
    for state, expected in (("ended", 1), ("running", 0)):
        listed = staff_browser.get(page(Experiment, ""), {"state": state})
        assert listed.context["cl"].result_count == expected
