"""The programme is fresh, fast, and there when servers fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.utils import timezone

from cinema.development.processes import wait_for
from cinema.response_cache import PolledValue
from movies import catalogue
from movies.models import CatalogueVersion, Genre, Hall, Movie, Screening
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.catalogue import programme, shown
from tests.outages import database_refusing

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_once_visible(settings: Any) -> None:
    """Each request looks whether the catalogue has changed."""
    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9


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
    with django_assert_num_queries(1 + 3 + 1):  # version; screenings, movies, genres; coming up
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
    with django_assert_num_queries(1 + 2 + 1 + 1):
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


def test_a_staff_edit_shows_within_a_second_in_every_process(staff: Client, settings: Any) -> None:
    screening = make_screening()
    # Another process has the same data, with a memory of its own.
    elsewhere = PolledValue(catalogue._renew, lambda: settings.CATALOGUE_CHECK_INTERVAL_S)
    before = elsewhere.get().snapshot
    assert b"sold-out" not in staff.get("/programme").content
    path = f"/screenings/{screening.pk}"
    assert staff.patch(path, {"state": "sold-out"}).status_code == 200
    assert wait_for(lambda: b"sold-out" in staff.get("/programme").content, timeout_s=1)
    assert wait_for(lambda: elsewhere.get().snapshot is not before, timeout_s=0.5)


@pytest.mark.usefixtures("at_once_visible")
def test_a_rating_alone_does_not_renew_the_programme(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = make_screening().movie
    snapshot = catalogue.current().snapshot
    before = viewer.get("/programme").content
    assert viewer.put(f"/movies/{movie.pk}/rating", {"stars": 4}).status_code == 200
    assert viewer.get("/programme").content == before
    assert catalogue.current().snapshot is snapshot
    monkeypatch.setattr("movies.catalogue.CATALOGUE_MAX_AGE_S", 1e-9)
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
    # It looks again once the check interval has passed.
    assert wait_for(lambda: "Warning" not in anonymous.get("/programme"), timeout_s=60)
    healed = anonymous.get("/programme")
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
