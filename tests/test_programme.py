"""The programme through HTTP: what runs on which day, fresh, fast, and there when servers fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from cinema.refreshing import Refreshing
from movies import catalogue
from movies.models import CatalogueVersion, Genre, Hall, Movie, Screening
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from tests.catalogue import refused_fields

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

#: Thursday.
DAY = date(2026, 12, 3)


@pytest.fixture
def at_once_visible(settings: Any) -> None:
    """Each request looks whether the catalogue has changed."""
    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9


def programme(client: Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/programme", **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def shown(client: Client, **query: Any) -> dict[str, list[str]]:
    """The names of the movies by date, without the days that have none."""
    days = programme(client, **query)["days"]
    return {
        day["date"]: [movie["name"] for movie in day["movies"]] for day in days if day["movies"]
    }


# --- which days


def test_an_empty_cinema_has_an_empty_programme(anonymous: Client) -> None:
    found = programme(anonymous)
    today = timezone.localdate()
    assert found["from"] == today.isoformat()
    assert found["coming_up"] == []
    assert [day["movies"] for day in found["days"]] == [[]] * 7


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-12-03T12:00:00+01:00", "2026-12-03"),
        ("2026-12-03T05:59:59+01:00", "2026-12-02"),
        ("2026-12-03T06:00:00+01:00", "2026-12-03"),
        ("2026-12-02T23:30:00+00:00", "2026-12-02"),
    ],
)
def test_the_programme_is_that_of_today_and_six_days(now: str, first: str) -> None:
    with time_machine.travel(now):
        found = programme(Client())
    last = date.fromisoformat(first) + timedelta(days=6)
    assert (found["from"], found["to"]) == (first, last.isoformat())
    days = [date.fromisoformat(first) + timedelta(days=n) for n in range(7)]
    assert [day["date"] for day in found["days"]] == [day.isoformat() for day in days]


@pytest.mark.parametrize(
    ("query", "first", "last", "count"),
    [
        ({"from": "2026-12-03"}, "2026-12-03", "2026-12-09", 7),
        ({"from": "2026-12-03", "to": "2026-12-03"}, "2026-12-03", "2026-12-03", 1),
        ({"from": "2026-12-30", "to": "2027-01-02"}, "2026-12-30", "2027-01-02", 4),
        ({"from": "2026-01-01", "to": "2026-04-02"}, "2026-01-01", "2026-04-02", 92),
        ({"from": "2200-12-31"}, "2200-12-31", "2201-01-06", 7),
        ({"from": "1870-01-01"}, "1870-01-01", "1870-01-07", 7),
    ],
)
def test_the_days_asked_for_are_answered_both_ends_included(
    anonymous: Client, query: dict[str, str], first: str, last: str, count: int
) -> None:
    found = programme(anonymous, **query)
    assert (found["from"], found["to"]) == (first, last)
    assert [found["days"][0]["date"], found["days"][-1]["date"]] == [first, last]
    assert len(found["days"]) == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-12-03", "to": "2026-12-02"}, "to"),
        ({"to": "2020-01-01"}, "to"),
        ({"from": "2026-01-01", "to": "2026-04-03"}, "to"),
        ({"from": "1900-01-01", "to": "2199-01-01"}, "to"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "today"}, "from"),
        ({"from": ""}, "from"),
        ({"from": "0"}, "from"),
        ({"from": "2026-12-03\x00"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"status": "over"}, "status"),
        ({"genre": "x" * 501}, "genre"),
    ],
)
def test_a_bad_question_is_refused_and_its_parameter_named(
    anonymous: Client, query: dict[str, str], field: str
) -> None:
    assert refused_fields(anonymous.get("/programme", **query)) == [f"query.{field}"]


@pytest.mark.parametrize(
    ("hour", "minute", "days_later", "on"),
    [
        (20, 0, 0, "2026-12-03"),
        (23, 59, 0, "2026-12-03"),
        (1, 0, 1, "2026-12-03"),
        (5, 59, 1, "2026-12-03"),
        (6, 0, 1, "2026-12-04"),
        (6, 0, 0, "2026-12-03"),
        (5, 59, 0, "2026-12-02"),
    ],
)
def test_the_small_hours_belong_to_the_evening_before(
    anonymous: Client, hour: int, minute: int, days_later: int, on: str
) -> None:
    make_screening(starts_at=at(DAY + timedelta(days=days_later), hour, minute))
    assert list(shown(anonymous, **{"from": "2026-12-01", "to": "2026-12-07"})) == [on]
    assert list(shown(anonymous, **{"from": on, "to": on})) == [on]


@pytest.mark.parametrize(
    ("starts_at", "on"),
    [
        ("2026-03-29T01:59:00+01:00", "2026-03-28"),
        ("2026-03-29T03:00:00+02:00", "2026-03-28"),
        ("2026-03-29T05:59:00+02:00", "2026-03-28"),
        ("2026-03-29T06:00:00+02:00", "2026-03-29"),
        ("2026-10-25T02:30:00+02:00", "2026-10-24"),
        ("2026-10-25T02:30:00+01:00", "2026-10-24"),
        ("2026-10-25T05:59:00+01:00", "2026-10-24"),
        ("2026-10-25T06:00:00+01:00", "2026-10-25"),
    ],
)
def test_a_day_begins_by_the_wall_clock_when_the_clocks_change(
    staff: Client, starts_at: str, on: str
) -> None:
    screening = {"movie_id": make_movie().pk, "hall": "1", "starts_at": starts_at}
    assert staff.post("/screenings", screening).status_code == 201
    assert list(shown(staff, **{"from": on, "to": on})) == [on]
    around = date.fromisoformat(on)
    week = {"from": around - timedelta(days=3), "to": around + timedelta(days=3)}
    assert list(shown(staff, **week)) == [on]


def test_where_the_day_starts_is_a_setting(anonymous: Client, settings: Any) -> None:
    from datetime import time

    settings.CINEMA_DAY_STARTS_AT = time(0, 0)
    make_screening(starts_at=at(DAY, 1))
    assert list(shown(anonymous, **{"from": "2026-12-01"})) == ["2026-12-03"]


# --- what is in it


def test_a_day_lists_its_movies_by_their_first_screening_with_all_that_the_addresses_show(
    anonymous: Client,
) -> None:
    late, early = make_movie(genres=["drama"]), make_movie(status="running", end_date=DAY)
    screenings = [
        make_screening(late, starts_at=at(DAY, 20), hall="1"),
        make_screening(early, starts_at=at(DAY, 22), hall="1", tags=["35mm"]),
        make_screening(early, starts_at=at(DAY, 18), hall="1", state="sold-out"),
    ]
    [day] = programme(anonymous, **{"from": DAY, "to": DAY})["days"]
    by_id = {s.pk: anonymous.get(f"/screenings/{s.pk}").json() for s in screenings}
    first, second, third = (by_id[s.pk] for s in screenings)
    assert day == {
        "date": "2026-12-03",
        "movies": [
            {**anonymous.get(f"/movies/{early.pk}").json(), "screenings": [third, second]},
            {**anonymous.get(f"/movies/{late.pk}").json(), "screenings": [first]},
        ],
    }


def test_cancelled_screenings_are_shown_and_hidden_ones_are_not_even_to_staff(
    staff: Client,
) -> None:
    cancelled = make_screening(starts_at=at(DAY, 20), state="cancelled")
    make_screening(starts_at=at(DAY, 20), state="hidden")
    assert shown(staff, **{"from": DAY}) == {"2026-12-03": [cancelled.movie.name]}


def test_a_withdrawn_movie_is_not_in_the_programme(anonymous: Client, staff: Client) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    make_screening(movie)
    assert staff.delete(f"/movies/{movie.pk}", force=True).status_code == 204
    assert shown(anonymous) == {}
    assert programme(anonymous)["coming_up"] == []


@pytest.mark.parametrize(
    ("query", "on_the_day", "coming_up"),
    [
        ({}, ["A", "B"], ["C"]),
        ({"status": "running"}, ["A"], []),
        ({"status": "finished"}, ["B"], []),
        ({"status": "coming-up"}, [], ["C"]),
        ({"genre": "drama"}, ["A"], ["C"]),
        ({"genre": "music"}, ["A", "B"], []),
        ({"genre": "nothing"}, [], []),
        ({"genre": "\x00"}, [], []),
        ({"language": "de"}, ["B"], []),
        ({"language": "fr"}, ["A"], ["C"]),
        ({"tag": "35mm"}, ["A"], []),
        ({"tag": "35MM"}, ["A"], []),
        ({"tag": "3d"}, [], []),
        ({"genre": "music", "language": "de"}, ["B"], []),
        ({"genre": "drama", "tag": "35mm", "status": "finished"}, [], []),
        ({"unheard_of": "x"}, ["A", "B"], ["C"]),
    ],
)
def test_the_programme_is_filtered(
    anonymous: Client, query: dict[str, str], on_the_day: list[str], coming_up: list[str]
) -> None:
    a = make_movie(name="A", genres=["drama", "music"])
    b = make_movie(name="B", genres=["music"], status="finished")
    make_movie(name="C", genres=["drama"], start_date=timezone.localdate() + timedelta(days=3))
    make_screening(a, starts_at=at(DAY, 18), tags=["35mm"])
    make_screening(b, starts_at=at(DAY, 20), language="de")
    found = programme(anonymous, **{"from": DAY, "to": DAY}, **query)
    assert [movie["name"] for movie in found["days"][0]["movies"]] == on_the_day
    assert [movie["name"] for movie in found["coming_up"]] == coming_up


def test_a_filter_leaves_out_the_screenings_that_do_not_match(anonymous: Client) -> None:
    movie = make_movie()
    make_screening(movie, starts_at=at(DAY, 18), language="de")
    make_screening(movie, starts_at=at(DAY, 20), language="fr")
    [day] = programme(anonymous, **{"from": DAY, "to": DAY, "language": "de"})["days"]
    assert [s["language"] for s in day["movies"][0]["screenings"]] == ["de"]


def test_coming_up_is_by_start(anonymous: Client) -> None:
    today = timezone.localdate()
    for name, days in [("later", 9), ("now", 0), ("soon", 1), ("soon too", 1)]:
        make_movie(name=name, start_date=today + timedelta(days=days))
    coming = programme(anonymous)["coming_up"]
    assert [movie["name"] for movie in coming] == ["soon", "soon too", "later"]


# --- fresh and fast


def test_the_programme_is_answered_by_304_until_it_changes(
    anonymous: Client, at_once_visible: None
) -> None:
    screening = make_screening()
    first = anonymous.get("/programme")
    assert first["Content-Type"] == "application/json"
    assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
    for known in (first["ETag"], f'"other", {first["ETag"]}', f"W/{first['ETag']}", "*"):
        again = anonymous.send("GET", "/programme", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
        assert again["Cache-Control"] == first["Cache-Control"]
    Screening.objects.filter(pk=screening.pk).update(state="sold-out")
    changed = anonymous.send("GET", "/programme", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


def test_bytes_are_made_once_and_the_version_is_looked_at_once_in_an_interval(
    anonymous: Client, settings: Any, django_assert_num_queries: Any
) -> None:
    make_screening()
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    with django_assert_num_queries(1 + 2 + 1):  # version; screenings, genres; coming up
        first = anonymous.get("/programme")
    with django_assert_num_queries(0):
        assert anonymous.get("/programme").content == first.content
    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9
    with django_assert_num_queries(1):
        assert anonymous.get("/programme").content == first.content


@pytest.mark.parametrize("rows", [1, 50])
def test_making_the_bytes_takes_as_many_queries_for_one_movie_as_for_fifty(
    anonymous: Client, django_assert_num_queries: Any, rows: int
) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    for number in range(rows):
        make_screening(make_movie(genres=["drama", f"genre {number}"]))
        make_movie(genres=["music"], start_date=tomorrow)
    with django_assert_num_queries(1 + 2 + 2):
        found = programme(anonymous)
    assert len(found["coming_up"]) == rows
    assert len(shown(anonymous)[tomorrow.isoformat()]) == rows


def edits() -> dict[str, Callable[[Movie, Screening], object]]:
    """Ways to change what viewers see, past the API."""

    def sql(statement: str) -> Callable[[Movie, Screening], object]:
        def run(movie: Movie, screening: Screening) -> None:
            with connection.cursor() as cursor:
                cursor.execute(statement)

        return run

    return {
        "a movie by raw SQL": sql("UPDATE movies_movie SET name = 'Changed'"),
        "a screening by raw SQL": sql("UPDATE movies_screening SET state = 'cancelled'"),
        "a screening deleted": lambda movie, screening: screening.delete(),
        "a screening added": lambda movie, screening: make_screening(movie),
        "a movie added": lambda movie, screening: make_movie(
            start_date=timezone.localdate() + timedelta(days=1)
        ),
        "a genre added": lambda movie, screening: movie.genres.create(slug="x", name="X"),
        "a genre renamed": lambda movie, screening: Genre.objects.update(name="Changed"),
        "a genre deleted": lambda movie, screening: Genre.objects.all().delete(),
        "genres cleared": lambda movie, screening: movie.genres.clear(),
        "a hall renamed": lambda movie, screening: Hall.objects.update(name="Changed"),
        "the ranking raised": lambda movie, screening: Movie.objects.update(ranking=10),
        "a movie withdrawn": lambda movie, screening: Movie.objects.update(
            withdrawn_at=timezone.now()
        ),
    }


@pytest.mark.parametrize("way", edits())
@pytest.mark.usefixtures("at_once_visible")
def test_every_way_to_write_shows_in_the_programme(anonymous: Client, way: str) -> None:
    movie = make_movie(genres=["drama"])
    screening = make_screening(movie)
    before = anonymous.get("/programme").content
    edits()[way](movie, screening)
    assert anonymous.get("/programme").content != before


def test_an_edit_through_the_admin_shows(admin_client: Any, at_once_visible: None) -> None:
    screening = make_screening(tags=["old"])
    assert b'"old"' in admin_client.get("/api/v1/programme").content
    form = {
        "movie": screening.movie_id,
        "hall": screening.hall_id,
        "starts_at_0": timezone.localtime(screening.starts_at).date(),
        "starts_at_1": "20:00:00",
        "ends_at_0": timezone.localtime(screening.starts_at).date(),
        "ends_at_1": "22:00:00",
        "version": "original",
        "language": "fr",
        "tags": "new",
        "state": "scheduled",
    }
    answer = admin_client.post(f"/admin/movies/screening/{screening.pk}/change/", form)
    assert answer.status_code == 302, answer.content
    assert b'"new"' in admin_client.get("/api/v1/programme").content


def test_a_staff_edit_shows_within_a_second_in_every_process(staff: Client) -> None:
    screening = make_screening()
    other_process = Refreshing(catalogue._renew, lambda: settings_now().CATALOGUE_CHECK_INTERVAL_S)
    with time_machine.travel(timezone.now()) as clock:
        assert b"sold-out" not in staff.get("/programme").content
        seen_elsewhere = other_process.get().snapshot
        staff = Client(staff.user)
        path = f"/screenings/{screening.pk}"
        assert staff.patch(path, {"state": "sold-out"}).status_code == 200
        clock.shift(1)
        assert b"sold-out" in staff.get("/programme").content
        assert other_process.get().snapshot is not seen_elsewhere


def settings_now() -> Any:
    from django.conf import settings

    return settings


@pytest.mark.usefixtures("at_once_visible")
def test_a_rating_alone_makes_nothing_anew_until_a_minute_has_passed(viewer: Client) -> None:
    movie = make_screening().movie
    with time_machine.travel(timezone.now()) as clock:
        viewer = Client(viewer.user)
        snapshot = catalogue.current().snapshot
        before = viewer.get("/programme").content
        assert viewer.put(f"/movies/{movie.pk}/rating", {"stars": 4}).status_code == 200
        clock.shift(1)
        assert viewer.get("/programme").content == before
        assert catalogue.current().snapshot is snapshot
        clock.shift(60)
        assert b'"rating_average":4.0' in viewer.get("/programme").content


def test_another_interaction_raises_no_version_either(viewer: Client) -> None:
    movie = make_screening().movie
    version = CatalogueVersion.objects.get().version
    interact(make_user(), movie)
    assert viewer.post("/interactions", {"movie_id": movie.pk, "kind": "hide"}).status_code == 201
    assert CatalogueVersion.objects.get().version == version


# --- when servers fail


def test_the_programme_needs_no_cache_server(anonymous: Client, settings: Any) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "unix:///nowhere/valkey.sock"}
    }
    screening = make_screening()
    for _ in range(2):
        answer = anonymous.get("/programme")
        assert answer.status_code == 200
        assert "Warning" not in answer
    assert screening.movie.name in answer.content.decode()


@contextmanager
def database_refusing() -> Iterator[None]:
    """The server ends every session of the database and lets nobody in, as in a fail-over."""
    name = connection.settings_dict["NAME"]
    parameters = {
        **{key: value for key, value in connection.get_connection_params().items()
           if key in ("user", "password", "host", "port") and value},
        "dbname": "postgres",
    }  # fmt: skip
    with psycopg.connect(**parameters, autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            connection.close()


@pytest.fixture
def impatient_pool(db: None) -> Iterator[None]:
    """The pool gives up at once, not after ten seconds."""
    pool = connection.pool
    patience, pool.timeout = pool.timeout, 0.2
    yield
    pool.timeout = patience


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once_visible", "impatient_pool")
def test_while_the_database_is_away_the_last_programme_is_served_and_marked_as_stale() -> None:
    anonymous = Client()
    screening = make_screening()
    fresh = anonymous.get("/programme")
    with database_refusing():
        for _ in range(2):
            answer = _ended(anonymous.get("/programme"))
            assert (answer.status_code, answer.content) == (200, fresh.content)
            assert answer["Warning"] == '110 cinema "Response is Stale"'
            assert answer["Cache-Status"] == "cinema; hit; detail=stale"
        known = {"If-None-Match": fresh["ETag"]}
        assert anonymous.send("GET", "/programme", headers=known).status_code == 304
        never_made = _ended(anonymous.get("/programme", tag="35mm"))
        assert never_made.status_code == 503
        assert never_made["Content-Type"] == "application/problem+json"
    Screening.objects.filter(pk=screening.pk).update(state="sold-out")
    healed = anonymous.get("/programme")
    assert "Warning" not in healed
    assert b"sold-out" in healed.content


def _ended(answer: Response) -> Response:
    """Put the connection back, as the end of a request does outside of tests."""
    connection.close()
    return answer


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_a_process_that_starts_without_the_database_says_so() -> None:
    anonymous = Client()
    with database_refusing():
        answer = _ended(anonymous.get("/programme"))
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
