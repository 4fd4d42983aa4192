"""Promotions in the admin site: its list and its form."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from cinema.audit.models import AuditEntry
from movies.models import Movie
from recommendations.models import Promotion
from tests.admin_pages import choose, fill_in, page
from tests.builders import make_movie, make_user
from tests.promoting import ahead, make_promotion

pytestmark = pytest.mark.django_db

PROMOTIONS, NEW = page(Promotion, ""), page(Promotion, "add")


def entered(film: Movie, **fields: Any) -> dict[str, Any]:
    end = ahead(days=7)
    times = {"ends_at_0": f"{end:%Y-%m-%d}", "ends_at_1": "20:00:00"}
    return {"movie": film.pk, "kind": "pin", "place": 2, **times, **fields}


def test_staff_pin_a_film(admin_client: Browser) -> None:
    movie = make_movie(name="Cléo")
    assert fill_in(admin_client, NEW, **entered(movie, note="The  director comes")) == ""
    pin = Promotion.objects.get()
    assert (pin.movie, pin.place, pin.strength, pin.scope) == (movie, 2, None, "")
    assert pin.note == "The director comes"
    assert timezone.localtime(pin.ends_at).hour == 20
    assert fill_in(admin_client, page(Promotion, "change", pin.pk), place=3) == ""
    pin.refresh_from_db()
    assert (pin.movie, pin.place) == (movie, 3)
    entries = AuditEntry.objects.filter(model="promotion", via="admin")
    assert [entry.action for entry in entries] == ["update", "create"]
    history = admin_client.get(page(Promotion, "history", pin.pk)).content.decode()
    assert "promotion Cléo" in history


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"place": ""}, "A pin has a place from 1 to 10"),
        ({"place": 11}, "less than or equal to 10"),
        ({"place": "x"}, "whole number"),
        ({"strength": 0.5}, "A pin has a place from 1 to 10"),
        ({"kind": "boost", "place": "", "strength": 2}, "less than or equal to 1"),
        ({"ends_at_0": "2020-01-01"}, "ends_at does not lie after starts_at"),
        ({"starts_at_0": "2020-01-01", "ends_at_0": "2020-01-02"}, "is in the past"),
        ({"ends_at_0": ""}, "required"),
        ({"movie": 2**62}, "required"),
    ],
)
def test_an_invalid_promotion_is_refused_in_the_form(
    admin_client: Browser, fields: dict[str, Any], complaint: str
) -> None:
    assert complaint in fill_in(admin_client, NEW, **entered(make_movie(), **fields))
    assert not Promotion.objects.exists()


def test_a_taken_place_and_a_withdrawn_film_are_refused_in_the_form(admin_client: Browser) -> None:
    standing = make_promotion(make_movie(), place=2)
    said = fill_in(admin_client, NEW, **entered(make_movie()))
    assert f"Place 2 is pinned in that time by promotion {standing.pk}" in said
    movie = make_movie()
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert "withdrawn" in fill_in(admin_client, NEW, **entered(movie, place=3))
    assert Promotion.objects.get() == standing


def test_the_list_is_filtered_by_state(admin_client: Browser) -> None:
    current = make_promotion(make_movie(name="Cléo"))
    upcoming = make_promotion(make_movie(), starts_at=ahead(days=8), ends_at=ahead(days=9))
    for state, expected in (("current", [current]), ("upcoming", [upcoming]), ("ended", [])):
        answer = admin_client.get(PROMOTIONS, {"state": state})
        assert [*answer.context["cl"].result_list] == expected
    answer = admin_client.get(PROMOTIONS, {"q": "cléo"})
    assert [*answer.context["cl"].result_list] == [current]
    assert "pinned to place 1" in answer.content.decode()


def test_promotions_are_deleted_by_staff_alone(admin_client: Browser) -> None:
    promotion = make_promotion(make_movie())
    stranger = Browser()
    stranger.force_login(make_user())
    assert stranger.get(PROMOTIONS).status_code == 302
    choose(admin_client, PROMOTIONS, "delete_selected", promotion, post="yes")
    assert not Promotion.objects.exists()
