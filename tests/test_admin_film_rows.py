"""The rows of a film's form in the admin site: its screenings to come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from movies.models import Hall, Movie, Screening
from tests.admin_pages import Form, fill_in, page
from tests.builders import at, make_movie, make_screening

pytestmark = pytest.mark.django_db


def rows(browser: Browser, movie: Movie) -> dict[str, Any]:
    return Form(browser.get(page(Movie, "change", movie.pk)).content.decode()).values


def test_a_film_shows_the_next_screenings_alone_however_many_it_had(
    admin_client: Browser, django_assert_num_queries: Any
) -> None:
    movie, hall = make_movie(), Hall.objects.create(name="Large")
    now = timezone.now().replace(microsecond=0)
    Screening.objects.bulk_create(
        Screening(
            movie=movie,
            hall=hall,
            starts_at=now + timedelta(hours=3 * number),
            ends_at=now + timedelta(hours=3 * number + 2),
        )
        for number in range(-2000, 100)
    )
    path = page(Movie, "change", movie.pk)
    admin_client.get(path)
    # Session, user; the film, its genres; halls and screenings of the rows.
    with django_assert_num_queries(6):
        form = Form(admin_client.get(path).content.decode()).values
    assert form["screenings-INITIAL_FORMS"] == "30"
    next_one = movie.screenings.filter(ends_at__gt=now).earliest("starts_at")
    assert form["screenings-0-id"] == str(next_one.pk)


def test_the_rows_of_a_film_are_changed_added_and_deleted(admin_client: Browser) -> None:
    movie = make_movie(runtime_minutes=90)
    kept, gone = make_screening(movie), make_screening(movie)
    day = timezone.localdate() + timedelta(days=2)
    values = {
        "screenings-TOTAL_FORMS": "3",
        "screenings-0-state": "sold-out",
        "screenings-1-DELETE": "on",
        "screenings-2-movie": movie.pk,
        "screenings-2-hall": kept.hall_id,
        "screenings-2-starts_at_0": day,
        "screenings-2-starts_at_1": "18:00",
        "screenings-2-version": "subtitled",
        "screenings-2-state": "scheduled",
    }
    assert fill_in(admin_client, page(Movie, "change", movie.pk), **values) == ""
    kept.refresh_from_db()
    assert kept.state == "sold-out"
    assert not Screening.objects.filter(pk=gone.pk).exists()
    new = movie.screenings.get(version="subtitled")
    assert (new.starts_at, new.ends_at) == (at(day, 18), at(day, 19, 30))
    assert new.language == movie.original_language


def test_rows_that_are_in_each_others_way_or_in_anothers_are_refused(
    admin_client: Browser,
) -> None:
    movie, other = make_movie(), make_screening(make_movie(name="Vagabond"), hall="Small")
    one, two = make_screening(movie, hall="Large"), make_screening(movie)
    path = page(Movie, "change", movie.pk)
    refusal = fill_in(admin_client, path, **{"screenings-1-hall": one.hall_id})
    assert f"(screening {one.pk})" in refusal
    refusal = fill_in(admin_client, path, **{"screenings-1-hall": other.hall_id})
    assert "Small is taken: Vagabond" in refusal
    both = {"screenings-0-hall": Hall.objects.create(name="New").pk}
    refusal = fill_in(
        admin_client, path, **both, **{"screenings-1-hall": both["screenings-0-hall"]}
    )
    assert "Overlaps another screening in this form" in refusal
    assert {one.hall_id, two.hall_id} == set(movie.screenings.values_list("hall_id", flat=True))


def test_a_row_that_has_ended_or_gone_while_the_form_was_open_does_no_harm(
    admin_client: Browser,
) -> None:
    movie = make_movie()
    ended, gone = make_screening(movie), make_screening(movie)
    form = rows(admin_client, movie)
    past = timezone.now() - timedelta(days=9)
    Screening.objects.filter(pk=ended.pk).update(starts_at=past, ends_at=past + timedelta(hours=1))
    path = page(Movie, "change", movie.pk)
    assert admin_client.post(path, {**form, "name": "New"}).status_code in (200, 302)
    gone.delete()
    assert admin_client.post(path, {**form, "name": "Newer"}).status_code in (200, 302)
    broken = {**form, "screenings-0-id": "x", "screenings-1-id": "9" * 40}
    assert admin_client.post(path, broken).status_code == 200
    assert admin_client.post(path, {**form, "screenings-TOTAL_FORMS": "9" * 9}).status_code == 200
