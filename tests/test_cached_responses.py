"""Responses are cached for as long as nothing is written, and never longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from cinema import cache_statistics
from cinema.cache_statistics import CacheTally, tally
from cinema.response_cache import responses
from movies.models import Genre, Movie
from recommendations.services import rate_movie
from tests.audience import rate, say
from tests.builders import Client, make_movie, make_screening
from tests.movielens import run, write_csv

pytestmark = pytest.mark.django_db

PATHS = [
    "/movies",
    "/movies?genre=drama&sort=-ranking&page=1",
    "/movies/trending",
    "/movies/popular",
    "/movies/{id}",
    "/movies/by-slug/{slug}",
    "/movies/{id}/similar",
    "/genres",
]
every = pytest.mark.parametrize("path", PATHS)
#: A rating changes them, so they are kept for CATALOGUE_CHECK_INTERVAL_S alone.
DETAILS = ["/movies/{id}", "/movies/by-slug/{slug}"]
shared = pytest.mark.parametrize("path", [path for path in PATHS if path not in DETAILS])


@pytest.fixture
def film() -> Movie:
    """A film, beside another one that is similar."""
    make_movie(name="Le Bonheur", genres=["drama"])
    return make_movie(name="Cléo", genres=["drama", "music"])


@pytest.fixture
def looking_seldom(settings: Settings) -> None:
    """Let the process look for other writes once an hour."""
    settings.CATALOGUE_CHECK_INTERVAL_S = settings.RELEASE_CHECK_INTERVAL_S = 3600


def of(path: str, film: Movie) -> str:
    return path.format(id=film.pk, slug=film.slug)


def body(client: Client, path: str, film: Movie) -> Any:
    answer = client.get(of(path, film))
    assert answer.status_code == 200, answer.content
    return answer.json()


def as_another_process() -> None:
    responses.forget()


# --- kept


@every
@pytest.mark.usefixtures("looking_seldom")
def test_a_kept_answer_costs_no_query(
    anonymous: Client, film: Movie, django_assert_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    first = anonymous.get(of(path, film)).content
    with django_assert_num_queries(0):
        assert anonymous.get(of(path, film)).content == first


@shared
@pytest.mark.usefixtures("looking_seldom")
def test_a_kept_answer_costs_no_query_in_another_process(
    anonymous: Client, film: Movie, django_assert_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    first = anonymous.get(of(path, film)).content
    as_another_process()
    with django_assert_num_queries(0):
        assert anonymous.get(of(path, film)).content == first


@shared
def test_a_cached_response_checks_the_version_of_the_catalogue(
    anonymous: Client, film: Movie, settings: Settings, path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    settings.RELEASE_CHECK_INTERVAL_S = 3600
    anonymous.get(of(path, film))
    with django_assert_num_queries(1):
        anonymous.get(of(path, film))


@every
def test_a_public_answer_has_an_etag_and_is_answered_by_304(
    anonymous: Client, film: Movie, path: str
) -> None:
    first = anonymous.get(of(path, film))
    assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert "Authorization" in first["Vary"].split(", ")
    assert first["Content-Type"] == "application/json"
    as_another_process()
    again = anonymous.send("GET", of(path, film), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])


@pytest.mark.usefixtures("looking_seldom")
def test_different_questions_have_different_answers(anonymous: Client, film: Movie) -> None:
    filters = ["genre=music", "year_from=1963", "year_to=1963", "page=2", "per_page=1", "person=X"]
    paths = [of(path, film) for path in PATHS] + [f"/movies?{filter_}" for filter_ in filters]
    paths += [
        "/movies/trending?per_page=1",
        "/genres?per_page=1",
        f"/movies/{film.pk}/similar?limit=1",
    ]
    signed_in = {"Authorization": "whoever it is"}
    expected = [anonymous.send("GET", path, headers=signed_in).content for path in paths]
    for _ in range(2):
        assert [anonymous.get(path).content for path in paths] == expected
    as_another_process()
    assert [anonymous.get(path).content for path in paths] == expected


# --- and given up


def writes() -> dict[str, Callable[[Client, Movie], object]]:
    """Through the API, each of which changes what viewers see."""
    return {
        "a film is edited": lambda staff, film: staff.patch(
            f"/movies/{film.pk}", {"name": "Cléo de 5 à 7"}
        ),
        "its genres are edited": lambda staff, film: staff.patch(
            f"/movies/{film.pk}", {"genres": ["drama", "art"]}
        ),
        "a film is posted": lambda staff, film: staff.post(
            "/movies",
            {
                "name": "Sans toit ni loi",
                "protagonists": ["Sandrine Bonnaire"],
                "start_date": timezone.localdate().isoformat(),
                "genres": ["drama", "road"],
            },
        ),
        "a film is withdrawn": lambda staff, film: staff.delete(f"/movies/{film.pk}", force="true"),
    }


@pytest.mark.parametrize("write", writes())
@pytest.mark.usefixtures("looking_seldom")
def test_a_write_shows_at_once_in_the_process_that_made_it(
    anonymous: Client, staff: Client, film: Movie, write: str
) -> None:
    make_screening(film)
    paths = [of(path, film) for path in PATHS]
    for path in paths:
        anonymous.get(path)
    assert writes()[write](staff, film).status_code < 300  # type: ignore[attr-defined]
    for path in paths:
        fresh = staff.get(path)
        kept = anonymous.get(path)
        assert (kept.status_code, kept.content) == (fresh.status_code, fresh.content), path


@every
def test_a_write_past_the_api_shows_when_a_process_next_looks(
    anonymous: Client, film: Movie, path: str
) -> None:
    before = body(anonymous, path, film)
    Movie.objects.update(overview="Changed")
    Genre.objects.filter(slug="drama").update(name="Changed")
    assert body(anonymous, path, film) != before


def test_a_genre_without_a_film_shows_too(anonymous: Client) -> None:
    assert anonymous.get("/genres").json()["data"] == []
    Genre.objects.create(slug="noir", name="Noir")
    assert anonymous.get("/genres").json()["data"] == [{"slug": "noir", "name": "Noir"}]


def test_when_a_film_was_last_edited_is_never_old(anonymous: Client, film: Movie) -> None:
    """An edit that viewers do not see counts too, as `If-Match` compares it."""
    before = anonymous.get(f"/movies/{film.pk}")["ETag"]
    film.save(update_fields=["status_is_manual", "updated_at"])
    assert anonymous.get(f"/movies/{film.pk}")["ETag"] != before


@pytest.mark.usefixtures("looking_seldom")
def test_a_missing_film_is_not_cached(anonymous: Client, staff: Client) -> None:
    assert anonymous.get("/movies/by-slug/cleo").status_code == 404
    film = {"name": "Cleo", "protagonists": ["Corinne Marchand"], "start_date": "2026-12-03"}
    assert staff.post("/movies", film).status_code == 201
    assert anonymous.get("/movies/by-slug/cleo").status_code == 200


@pytest.mark.parametrize("path", DETAILS)
@pytest.mark.usefixtures("looking_seldom")
def test_a_rating_shows_at_once_in_the_details(
    anonymous: Client, viewer: Client, film: Movie, path: str
) -> None:
    def shown() -> tuple[float | None, int]:
        details = body(anonymous, path, film)
        return details["rating_average"], details["rating_count"]

    assert shown() == (None, 0)
    assert rate(viewer, film, 4).status_code == 200
    assert shown() == (4, 1)
    assert rate(viewer, film, 2).status_code == 200
    assert shown() == (2, 1)
    assert viewer.delete(f"/movies/{film.pk}/rating").status_code == 204
    assert shown() == (None, 0)
    interaction = say(viewer, film, "rating", 3).json()
    assert shown() == (3, 1)
    assert viewer.delete(f"/interactions/{interaction['id']}").status_code == 204
    assert shown() == (None, 0)


@pytest.mark.parametrize("path", DETAILS)
def test_a_rating_through_another_process_shows_too(
    anonymous: Client, viewer: Client, film: Movie, path: str
) -> None:
    body(anonymous, path, film)
    rate_movie(user=viewer.user, movie_id=film.pk, stars=4)  # not by a request of this process
    assert body(anonymous, path, film)["rating_count"] == 1


def test_imported_ratings_show_too(anonymous: Client, tmp_path: Path) -> None:
    run(write_csv(tmp_path, "1,2,4.0,964982703"))
    film = Movie.objects.get(name="The Matrix")
    assert body(anonymous, "/movies/{id}", film)["rating_count"] == 1
    run(write_csv(tmp_path, "7,2,5.0,1147880044"))
    assert body(anonymous, "/movies/{id}", film)["rating_count"] == 2


@every
def test_entries_of_another_program_version_do_not_count(
    anonymous: Client, film: Movie, settings: Settings, path: str
) -> None:
    """After an upgrade, or with another address in front of the posters."""
    body(anonymous, path, film)
    Movie.objects.update(rating_count=7, rating_sum=28)  # raises no version
    as_another_process()
    settings.PUBLIC_URL = "https://cinema.example"
    answer = anonymous.get(of(path, film))
    assert b'"rating_count":0' not in answer.content


@every
def test_an_answer_is_made_anew_after_its_lifetime(
    anonymous: Client, film: Movie, path: str
) -> None:
    before = body(anonymous, path, film)
    Movie.objects.update(rating_count=7, rating_sum=28)
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1), tick=False):
        after = body(anonymous, path, film)
    assert (after == before) == (path == "/genres")


@every
@pytest.mark.usefixtures("looking_seldom")
def test_signed_in_viewers_are_answered_from_the_database(
    anonymous: Client, viewer: Client, film: Movie, path: str
) -> None:
    before = body(anonymous, path, film)
    Movie.objects.update(rating_count=7, rating_sum=28)  # raises no version
    assert body(anonymous, path, film) == before
    fresh = viewer.get(of(path, film))
    assert "Authorization" in fresh["Vary"].split(", ")
    if path != "/genres":
        assert b'"rating_count":7' in fresh.content
    assert body(anonymous, path, film) == before


# --- counted


def counted(staff: Client, **query: Any) -> dict[str, dict[str, Any]]:
    """The counts by kind, without zeros."""
    found = staff.get("/cache/statistics", **query).json()
    assert found["all_processes"] is True
    return {
        kind.pop("kind"): {outcome: n for outcome, n in kind.items() if n}
        for kind in found["answers"]
    }


def test_hits_and_misses_are_counted_by_kind_and_level(
    anonymous: Client, viewer: Client, staff: Client, settings: Settings
) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    make_movie()
    for _ in range(2):
        anonymous.get("/movies/trending")
    tally.flush()
    responses.forget()  # as another process
    anonymous.get("/movies/trending")
    viewer.get("/movies/trending")
    anonymous.get("/genres")
    assert counted(staff) == {
        "trending": {"made": 1, "memory": 1, "cache": 1, "fresh": 1, "hit_rate": 0.6667},
        "genres": {"made": 1},
    }


def test_a_process_writes_its_counts_from_time_to_time(
    anonymous: Client, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_statistics, "FLUSH_EVERY_S", 3600)
    anonymous.get("/genres")
    responses.forget()  # it ends before it has told
    assert counted(staff) == {}
    monkeypatch.setattr(cache_statistics, "FLUSH_EVERY_S", 0)
    anonymous.get("/genres")
    responses.forget()
    assert counted(staff) == {"genres": {"cache": 1, "hit_rate": 1}}


def test_counts_are_of_a_day(staff: Client) -> None:
    for days_ago in (9, 7, 1, 0, 0):
        with time_machine.travel(timezone.now() - timedelta(days=days_ago), tick=False):
            of_that_day = CacheTally()
            of_that_day.count("trending", "made")
            of_that_day.flush()
    assert counted(staff) == counted(staff, days=1) == {"trending": {"made": 2}}
    assert counted(staff, days=2) == {"trending": {"made": 3}}
    assert counted(staff, days=8) == {"trending": {"made": 4}}


def test_statistics_are_for_staff(anonymous: Client, viewer: Client, staff: Client) -> None:
    assert anonymous.get("/cache/statistics").status_code == 401
    assert viewer.get("/cache/statistics").status_code == 403
    nothing = {"days": 1, "all_processes": True, "answers": []}
    assert staff.get("/cache/statistics").json() == nothing


@pytest.mark.parametrize("days", [0, 9, -1, "x", 10**30])
def test_a_bad_number_of_days_is_refused(staff: Client, days: object) -> None:
    assert staff.get("/cache/statistics", days=days).status_code == 422
