"""Screenings in the admin site: the week, the form, and the rows in a film's form."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from movies import services
from movies.models import Hall, Movie, Screening
from tests.admin_pages import choose, fill_in, page
from tests.builders import at, make_movie, make_screening, make_user

pytestmark = pytest.mark.django_db

SCREENINGS = page(Screening, "")
#: The list shows the current week by default, which leaves out tomorrow on a Sunday.
OF_ALL_WEEKS = f"{SCREENINGS}?week=all"


def this_monday() -> date:
    today = timezone.localdate(timezone.now() - timedelta(hours=6))
    return today - timedelta(days=today.weekday())


def listed(browser: Browser, **query: Any) -> list[int]:
    answer = browser.get(SCREENINGS, query)
    assert answer.status_code == 200
    return [screening.pk for screening in answer.context["cl"].result_list]


# --- the week


@pytest.mark.any_moment
def test_the_list_is_a_week_that_ends_in_the_small_hours(admin_client: Browser) -> None:
    monday = this_monday()
    first = make_screening(starts_at=at(monday, 6)).pk
    last = make_screening(starts_at=at(monday + timedelta(days=7), 5)).pk
    next_one = make_screening(starts_at=at(monday + timedelta(days=7), 6)).pk
    before = make_screening(starts_at=at(monday, 5)).pk
    assert listed(admin_client) == [first, last]
    assert listed(admin_client, week=str(monday + timedelta(days=13))) == [next_one]
    assert listed(admin_client, week=str(monday - timedelta(days=1))) == [before]
    assert listed(admin_client, week="all") == [before, first, last, next_one]
    assert next_one in listed(admin_client, week="to-come")
    assert listed(admin_client, week="2026-99-99") == [first, last]
    assert "Week after" in admin_client.get(SCREENINGS).content.decode()


@pytest.mark.any_moment
def test_screenings_are_filtered_within_the_week(admin_client: Browser) -> None:
    cancelled = make_screening(starts_at=at(this_monday(), 20), state="cancelled", hall="One")
    dubbed = make_screening(starts_at=at(this_monday(), 20), version="dubbed", hall="Two")
    assert listed(admin_client, state__exact="cancelled") == [cancelled.pk]
    assert listed(admin_client, version__exact="dubbed") == [dubbed.pk]
    assert listed(admin_client, hall__id__exact=dubbed.hall_id) == [dubbed.pk]
    assert listed(admin_client, q=dubbed.movie.name) == [dubbed.pk]


def test_a_week_of_any_length_takes_the_same_queries(
    admin_client: Browser, django_assert_num_queries: Any
) -> None:
    def count(rows: int) -> None:
        for _ in range(rows):
            make_screening(starts_at=at(this_monday(), 20))
        with django_assert_num_queries(5):  # session, user; how many, which; halls to filter by
            assert admin_client.get(SCREENINGS).status_code == 200

    count(1)
    count(20)


@pytest.mark.any_moment
@pytest.mark.parametrize("state", ["cancelled", "sold_out", "hidden"])
def test_several_get_a_state_at_once(admin_client: Browser, state: str) -> None:
    screenings = [make_screening(), make_screening()]
    assert "2 set to" in choose(admin_client, OF_ALL_WEEKS, f"set_state_{state}", *screenings)
    states = set(Screening.objects.values_list("state", flat=True))
    assert states == {Screening.State[state.upper()]}


@pytest.mark.any_moment
def test_a_cancelled_screening_in_a_taken_hall_is_not_rescheduled(
    admin_client: Browser,
) -> None:
    off = make_screening(state="cancelled", hall="Large")
    standing = make_screening(hall="Large")
    said = choose(admin_client, OF_ALL_WEEKS, "set_state_scheduled", off, standing)
    assert "1 set to “scheduled”" in said
    assert f"Large is taken at that time by screening {standing.pk}" in said
    off.refresh_from_db()
    assert off.state == "cancelled"


@pytest.mark.any_moment
def test_screenings_are_copied_to_the_next_week_at_the_same_time_by_the_clock(
    admin_client: Browser,
) -> None:
    day = date(2027, 3, 22)  # the clocks change on the 28th
    source = make_screening(hall="Large", starts_at=at(day, 20), tags=["35mm"], version="dubbed")
    taken = make_screening(hall="Small", starts_at=at(day, 20))
    standing = make_screening(hall="Small", starts_at=at(day + timedelta(days=7), 21))
    said = choose(admin_client, f"{SCREENINGS}?week={day}", "copy_to_next_week", source, taken)
    assert "1 copied to next week" in said
    assert f"by screening {standing.pk}" in said
    copy = Screening.objects.get(hall=source.hall, starts_at__gt=source.starts_at)
    assert copy.starts_at == at(day + timedelta(days=7), 20)
    assert (copy.tags, copy.version, copy.movie_id) == (["35mm"], "dubbed", source.movie_id)
    assert copy.uid != source.uid


# --- the form


def test_a_screening_saved_as_it_was_stays_as_it_was(admin_client: Browser) -> None:
    screening = make_screening(tags=["q&a, live", "35mm"], language="de")
    before = Screening.objects.values().get()
    assert fill_in(admin_client, page(Screening, "change", screening.pk)) == ""
    after = Screening.objects.values().get()
    assert {**after, "updated_at": None} == {**before, "updated_at": None}


def test_a_screening_in_the_hour_that_the_clock_shows_twice_can_be_cancelled(
    admin_client: Browser,
) -> None:
    second = at(date(2026, 10, 25), 1, 30) + timedelta(hours=2)
    screening = make_screening(starts_at=second)
    path = page(Screening, "change", screening.pk)
    assert fill_in(admin_client, path, state="cancelled") == ""
    screening.refresh_from_db()
    assert (screening.state, screening.starts_at) == ("cancelled", second)


def test_the_end_may_be_left_out_and_follows_its_start(admin_client: Browser) -> None:
    movie = make_movie(runtime_minutes=100, original_language="fr")
    hall = Hall.objects.create(name="Large")
    values = {"movie": movie.pk, "hall": hall.pk}
    start = {"starts_at_0": "2026-12-03", "starts_at_1": "20:00"}
    assert fill_in(admin_client, page(Screening, "add"), **values, **start) == ""
    screening = Screening.objects.get()
    assert screening.ends_at == at(date(2026, 12, 3), 21, 40)
    assert screening.language == "fr"
    path = page(Screening, "change", screening.pk)
    assert fill_in(admin_client, path, starts_at_1="18:00") == ""
    screening.refresh_from_db()
    assert screening.ends_at == at(date(2026, 12, 3), 19, 40)
    Movie.objects.update(runtime_minutes=None)
    assert "no running time" in fill_in(admin_client, path, ends_at_0="", ends_at_1="")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"starts_at_0": ""}, "required"),
        ({"starts_at_0": "2026-02-30"}, "valid date"),
        ({"starts_at_1": "25:00"}, "valid time"),
        ({"starts_at_0": "9999-12-31"}, "year"),
        ({"starts_at_0": "0001-01-01"}, "year"),
        ({"ends_at_0": "2020-01-01"}, "ends_at does not lie after starts_at"),
        ({"ends_at_0": "2200-01-01"}, "at most 24 hours"),
        ({"language": "French"}, "BCP 47"),
        ({"tags": "x" * 41}, "at most 40"),
        ({"tags": "\r\n".join(map(str, range(21)))}, "at most 20"),
        ({"booking_url": "javascript:alert(1)"}, "valid URL"),
        ({"movie": "999999"}, "valid choice"),
        ({"movie": "x"}, "required"),
        ({"hall": "9" * 40}, "required"),
        ({"state": "burnt"}, "valid choice"),
    ],
)
def test_a_screening_that_breaks_a_rule_is_refused_in_the_form(
    admin_client: Browser, values: dict[str, str], complaint: str
) -> None:
    screening = make_screening()
    before = Screening.objects.values().get()
    assert complaint in fill_in(admin_client, page(Screening, "change", screening.pk), **values)
    assert Screening.objects.values().get() == before


def test_a_withdrawn_film_gets_no_screening(admin_client: Browser) -> None:
    movie = make_screening().movie
    screening = movie.screenings.get()
    services.delete_movie(movie_id=movie.pk, force=True)
    path = page(Screening, "change", screening.pk)
    assert fill_in(admin_client, path, tags="35mm") == ""
    values = {"movie": movie.pk, "hall": screening.hall_id}
    start = {"starts_at_0": "2026-12-03", "starts_at_1": "20:00"}
    assert "withdrawn" in fill_in(admin_client, page(Screening, "add"), **values, **start)


def test_a_tag_given_in_the_admin_is_found_by_the_api(admin_client: Browser) -> None:
    screening = make_screening()
    path = page(Screening, "change", screening.pk)
    assert fill_in(admin_client, path, tags="35MM\r\nQ&A") == ""
    found = admin_client.get("/api/v1/screenings", {"tag": "35mm"}).json()["data"]
    assert [each["tags"] for each in found] == [["35mm", "q&a"]]


def test_a_hall_conflict_names_the_screening_in_the_hall(admin_client: Browser) -> None:
    first = make_screening(make_movie(name="Cléo"), hall="Large")
    second = make_screening()
    path = page(Screening, "change", second.pk)
    refusal = fill_in(admin_client, path, hall=first.hall_id)
    assert "Large is taken: Cléo" in refusal
    assert f"20:00 to 21:30 (screening {first.pk})" in refusal
    assert fill_in(admin_client, path, hall=first.hall_id, state="cancelled") == ""


@pytest.mark.django_db(transaction=True)
def test_a_form_waits_for_another_writer_in_the_hall_and_then_finds_it_taken(
    client: Browser,
) -> None:
    from django.db import transaction

    user = make_user(is_staff=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    mine = make_screening()
    other = make_screening(hall="Large", starts_at=mine.starts_at - timedelta(days=1))
    answers: list[str] = []

    def save() -> None:
        path = page(Screening, "change", mine.pk)
        answers.append(fill_in(client, path, hall=other.hall_id))
        connection.close()

    thread = threading.Thread(target=save)
    with transaction.atomic():
        make_screening(other.movie, hall="Large", starts_at=mine.starts_at)
        thread.start()
        thread.join(timeout=1)
    thread.join()
    assert "Large is taken" in answers[0]


def test_a_hall_has_a_unique_name_and_is_kept_while_in_use(admin_client: Browser) -> None:
    assert fill_in(admin_client, page(Hall, "add"), name="Large") == ""
    assert "violated" in fill_in(admin_client, page(Hall, "add"), name="LARGE")
    make_screening(hall="Large")
    hall = Hall.objects.get(name="Large")
    answer = admin_client.post(page(Hall, "delete", hall.pk), {"post": "yes"})
    assert b"protected" in answer.content
    assert Hall.objects.filter(pk=hall.pk).exists()
