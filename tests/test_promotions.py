"""Pins and boosts: staff make, read, change and delete them; who changed what is recorded."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from cinema.audit.models import AuditEntry
from movies.models import Movie
from recommendations.models import Promotion
from tests.builders import Client, make_movie, make_user
from tests.concurrency import at_once
from tests.promoting import PATH, ahead, make_promotion, payload, promoted

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    return make_movie(name="Cléo")


def refused(answer: Any) -> tuple[int, list[str]]:
    found = answer.json()
    return answer.status_code, [error["field"] for error in found.get("errors") or []]


def found(staff: Client, **query: Any) -> list[int]:
    answer = staff.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    return [promotion["id"] for promotion in answer.json()["data"]]


def test_a_pin_is_made_and_read(staff: Client, movie: Movie) -> None:
    sent = payload(movie, place=3, scope="programme", note="The  director comes")
    answer = staff.post(PATH, sent)
    assert answer.status_code == 201
    pin = answer.json()
    assert answer["Location"] == f"/api/v1/promotions/{pin['id']}"
    assert staff.get(answer["Location"]).json() == pin
    assert {**pin, "id": 0, "starts_at": "", "ends_at": "", "created_at": ""} == {
        "id": 0,
        "movie_id": movie.pk,
        "movie": "Cléo",
        "kind": "pin",
        "place": 3,
        "strength": None,
        "scope": "programme",
        "note": "The director comes",
        "state": "current",
        "starts_at": "",
        "ends_at": "",
        "created_at": "",
    }
    assert pin["ends_at"].endswith(timezone.localtime().isoformat()[-6:])


def test_a_boost_is_made_for_later(staff: Client, movie: Movie) -> None:
    boost = promoted(staff, movie, strength=0.2, starts_at=ahead(days=1).isoformat())
    assert (boost["kind"], boost["place"], boost["strength"]) == ("boost", None, 0.2)
    assert (boost["scope"], boost["state"]) == (None, "upcoming")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"place": None}, "body.place"),
        ({"place": 0}, "body.place"),
        ({"place": 11}, "body.place"),
        ({"place": "1"}, "body.place"),
        ({"strength": 0.5, "place": 1}, "body"),
        ({"strength": 0.5, "kind": "pin"}, "body"),
        ({"kind": "boost"}, "body"),
        ({"strength": 0}, "body.strength"),
        ({"strength": 1.01}, "body.strength"),
        ({"kind": "shout"}, "body.kind"),
        ({"scope": ""}, "body.scope"),
        ({"scope": "everywhere"}, "body.scope"),
        ({"note": "x" * 201}, "body.note"),
        ({"ends_at": None}, "body.ends_at"),
        ({"ends_at": "2026-12-03T20:00:00"}, "body.ends_at"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "body.ends_at"),
        ({"starts_at": "2199-01-01T00:00:00Z"}, "body.ends_at"),
        ({"movie_id": True}, "body.movie_id"),
        ({"colour": "red"}, "body.colour"),
    ],
)
def test_nonsense_is_refused(
    staff: Client, movie: Movie, change: dict[str, Any], field: str
) -> None:
    status, fields = refused(staff.post(PATH, payload(movie, **change)))
    assert status == 422
    assert all(each.startswith(field) or each == "body" for each in fields), fields
    assert fields
    assert not Promotion.objects.exists()


def test_the_end_is_needed(staff: Client, movie: Movie) -> None:
    sent = payload(movie)
    del sent["ends_at"]
    assert refused(staff.post(PATH, sent)) == (422, ["body.ends_at"])


def test_a_film_that_viewers_cannot_see_is_not_promoted(staff: Client, movie: Movie) -> None:
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert staff.post(PATH, payload(movie)).status_code == 404
    movie.pk = 2**62
    assert staff.post(PATH, payload(movie)).status_code == 404


def test_a_place_is_for_one_film_at_a_time(staff: Client, movie: Movie) -> None:
    standing = promoted(staff, movie)
    other = make_movie()
    answer = staff.post(PATH, payload(other))
    assert answer.status_code == 409
    assert answer.json()["promotion_id"] == standing["id"]
    assert "Place 1 is pinned in that time" in answer.json()["detail"]
    promoted(staff, other, place=2)
    after = {"starts_at": standing["ends_at"], "ends_at": ahead(days=9).isoformat()}
    promoted(staff, make_movie(), **after)


def test_a_film_has_one_place_at_a_time(staff: Client, movie: Movie) -> None:
    standing = promoted(staff, movie)
    answer = staff.post(PATH, payload(movie, place=2))
    assert (answer.status_code, answer.json()["promotion_id"]) == (409, standing["id"])
    promoted(staff, movie, strength=0.1)
    promoted(staff, movie, strength=0.2)


@pytest.mark.parametrize(
    ("standing", "wanted", "status"),
    [
        ("programme", "catalogue", 201),
        ("programme", "programme", 409),
        (None, "programme", 409),
        ("catalogue", None, 409),
    ],
)
def test_a_place_is_unique_within_a_scope(
    staff: Client, movie: Movie, standing: str | None, wanted: str | None, status: int
) -> None:
    promoted(staff, movie, scope=standing)
    assert staff.post(PATH, payload(make_movie(), scope=wanted)).status_code == status


def test_a_promotion_is_changed(staff: Client, movie: Movie) -> None:
    pin = promoted(staff, movie)
    answer = staff.patch(f"{PATH}/{pin['id']}", {"place": 4, "scope": "catalogue", "note": "Why"})
    assert answer.status_code == 200
    assert answer.json() == {**pin, "place": 4, "scope": "catalogue", "note": "Why"}
    assert staff.patch(f"{PATH}/{pin['id']}", {"scope": None}).json()["scope"] is None


def test_a_promotion_ends_when_staff_say_so(staff: Client, movie: Movie) -> None:
    pin = promoted(staff, movie)
    answer = staff.patch(f"{PATH}/{pin['id']}", {"ends_at": timezone.now().isoformat()})
    assert answer.json()["state"] == "ended"
    promoted(staff, make_movie())


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"strength": 0.5}, 422, "body.strength"),
        ({"place": None}, 422, "body.place"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422, "body.ends_at"),
        ({"starts_at": "2199-01-01T00:00:00Z"}, 422, "body.ends_at"),
        ({"movie_id": 1}, 422, "body.movie_id"),
        ({"kind": "boost"}, 422, "body.kind"),
        ({"place": 2}, 409, None),
    ],
)
def test_a_change_keeps_the_rules(
    staff: Client, movie: Movie, change: dict[str, Any], status: int, field: str | None
) -> None:
    promoted(staff, make_movie(), place=2)
    pin = promoted(staff, movie)
    assert refused(staff.patch(f"{PATH}/{pin['id']}", change)) == (status, [field] if field else [])
    assert staff.get(f"{PATH}/{pin['id']}").json() == pin


def test_a_promotion_is_deleted(staff: Client, movie: Movie) -> None:
    path = f"{PATH}/{promoted(staff, movie)['id']}"
    assert staff.delete(path).status_code == 204
    for answer in (staff.delete(path), staff.get(path), staff.patch(path, {"place": 1})):
        assert answer.status_code == 404


def test_promotions_are_listed_by_state(
    staff: Client, movie: Movie, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=8), tick=False):
        ended = make_promotion(movie).pk
    current = make_promotion(movie).pk
    upcoming = make_promotion(movie, starts_at=ahead(days=8), ends_at=ahead(days=9)).pk
    assert found(staff, state="ended") == [ended]
    assert found(staff, state="current") == [current]
    assert found(staff, state="upcoming") == [upcoming]
    assert found(staff, per_page=2) == [upcoming, current]
    assert staff.get(PATH, state="now").status_code == 422
    with django_assert_num_queries(3):  # who asks, how many, which
        assert found(staff) == [upcoming, current, ended]


def test_changes_of_promotions_are_recorded_with_their_author(staff: Client, movie: Movie) -> None:
    pin = promoted(staff, movie)
    staff.patch(f"{PATH}/{pin['id']}", {"place": 2})
    staff.delete(f"{PATH}/{pin['id']}")
    entries = staff.get("/audit", model="promotion").json()["data"]
    assert [entry["action"] for entry in entries] == ["delete", "update", "create"]
    assert {entry["user_id"] for entry in entries} == {staff.user.pk}
    assert {entry["movie_id"] for entry in entries} == {movie.pk}
    assert (entries[1]["before"], entries[1]["after"]) == ({"place": 1}, {"place": 2})
    assert entries[1]["path"] == f"PATCH /api/v1/promotions/{pin['id']}"


def test_an_empty_change_is_not_recorded(staff: Client, movie: Movie) -> None:
    pin = promoted(staff, movie)
    assert staff.patch(f"{PATH}/{pin['id']}", {}).status_code == 200
    assert AuditEntry.objects.filter(model="promotion").count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "pin", "place": None},
        {"kind": "pin", "place": 11},
        {"kind": "pin", "place": 1, "strength": 0.5},
        {"kind": "boost"},
        {"kind": "boost", "strength": 1.5},
        {"kind": "boost", "strength": 0.5, "place": 1},
        {"kind": "pin", "place": 1, "scope": "all"},
        {"kind": "pin", "place": 1, "ends_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_the_database_keeps_the_rules_whoever_writes(movie: Movie, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        Promotion.objects.create(movie=movie, **{"ends_at": ahead(days=1), **fields})


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_promotions_gets_the_place() -> None:
    someone = make_user(is_staff=True)
    films = [make_movie() for _ in range(4)]
    clients = [(Client(someone), payload(film)) for film in films]
    answers = at_once([partial(client.post, PATH, sent) for client, sent in clients])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 3}
    assert Promotion.objects.count() == 1
