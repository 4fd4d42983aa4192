"""TMDb's lists and genres as they are kept, and shown to staff."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from movies.tmdb.models import ListedFilm, SyncReport
from movies.tmdb.schemas import ATTRIBUTION
from movies.tmdb.tasks import resume_syncs, start_sync
from tests.builders import Client, make_movie
from tests.tmdb_payloads import tmdb_film
from tests.tmdb_server import Behaviour, TmdbServer, says

pytestmark = pytest.mark.django_db

LISTS = {
    "trending": "/trending/movie/week",
    "popular": "/movie/popular",
    "now-playing": "/movie/now_playing",
}


@pytest.fixture
def listed(tmdb: TmdbServer) -> TmdbServer:
    """Three lists of 25 films, each in another order."""
    tmdb.add(*(tmdb_film(number) for number in range(1, 26)))
    numbers = list(range(1, 26))
    tmdb.lists = {"/trending/movie/week": numbers, "/movie/popular": numbers[::-1],
                  "/movie/now_playing": numbers[5:]}  # fmt: skip
    return tmdb


def report(kind: str) -> SyncReport:
    return SyncReport.objects.filter(kind=kind).latest("pk")


@pytest.mark.parametrize(("name", "first"), [("trending", 1), ("popular", 25), ("now-playing", 6)])
def test_staff_see_each_list_with_our_films_marked(
    staff: Client, listed: TmdbServer, name: str, first: int
) -> None:
    movie = make_movie(tmdb_id=first)
    start_sync("lists")
    answer = staff.get(f"/tmdb/{name}", per_page=2).json()
    assert [film["rank"] for film in answer["data"]] == [1, 2]
    assert [film["movie_id"] for film in answer["data"]] == [movie.pk, None]
    assert answer["data"][0]["tmdb_id"] == first
    assert answer["data"][0]["title"] == f"Film {first}"
    assert answer["data"][0]["fetched_at"]
    assert answer["attribution"] == ATTRIBUTION
    assert answer["pagination"]["total"] == (20 if name == "now-playing" else 25)


def test_a_list_takes_the_same_queries_for_any_length(
    staff: Client, listed: TmdbServer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, 11):
        make_movie(tmdb_id=number)
    start_sync("lists")
    with django_assert_num_queries(3):  # who asks, how many, and the page
        assert len(staff.get("/tmdb/trending", per_page=100).json()["data"]) == 25


def test_a_list_is_replaced_by_the_next_hours(staff: Client, listed: TmdbServer) -> None:
    start_sync("lists")
    assert (report("lists").created, report("lists").fetched) == (70, 70)
    listed.lists["/trending/movie/week"] = [2, 1, *range(3, 25)]
    start_sync("lists")
    done = report("lists")
    assert (done.created, done.updated, done.unchanged, done.erased) == (0, 2, 67, 1)
    first = staff.get("/tmdb/trending", per_page=2).json()["data"]
    assert [film["tmdb_id"] for film in first] == [2, 1]


def test_a_film_that_moves_to_the_next_page_meanwhile_stands_once(listed: TmdbServer) -> None:
    listed.lists["/movie/popular"] = [*range(1, 21), 20, 21]
    start_sync("lists")
    ranks = ListedFilm.objects.filter(list="popular").values_list("rank", "tmdb_id")
    assert list(ranks) == [(number, number) for number in range(1, 22)]


@pytest.mark.parametrize(
    "trouble",
    [says(200, {"results": [], "total_pages": 0}), says(200, {"results": None}), says(200, b"<p>"),
     says(200, {"page": 1}), says(500)],
    ids=["empty", "null", "html", "no results", "500"],
)  # fmt: skip
def test_a_list_that_cannot_be_fetched_stays_as_it_was(
    listed: TmdbServer, trouble: Behaviour
) -> None:
    start_sync("lists")
    listed.next("/trending/movie/week", *[trouble] * 4)
    start_sync("lists")
    done = report("lists")
    assert (done.state, done.failed, len(done.problems)) == ("done", 1, 1)
    assert done.problems[0].startswith("List trending: TMDb ")
    assert ListedFilm.objects.filter(list="trending").count() == 25


def test_a_page_that_fails_leaves_no_half_list(listed: TmdbServer) -> None:
    start_sync("lists")
    listed.lists["/trending/movie/week"].reverse()
    listed.next("/trending/movie/week", says(500), says(500), says(500), says(500))
    start_sync("lists")
    first = ListedFilm.objects.get(list="trending", rank=1)
    assert first.tmdb_id == 1


def test_entries_without_an_id_and_with_nulls_are_tolerated(
    staff: Client, listed: TmdbServer
) -> None:
    poor = [{"id": 7}, {"title": "No id"}, {"id": "8"}, {"id": -1}, {"id": 2**40}, None, 5,
            {"id": 9, "title": None, "original_title": "Nine", "genre_ids": None,
             "release_date": None, "poster_path": "/../etc/passwd", "overview": 3}]  # fmt: skip
    listed.always("/trending/movie/week", says(200, {"results": poor, "total_pages": "x"}))
    start_sync("lists")
    found = staff.get("/tmdb/trending").json()["data"]
    assert [(film["tmdb_id"], film["title"]) for film in found] == [(7, "?"), (9, "Nine")]
    assert (found[1]["year"], found[1]["poster"], found[1]["overview"]) == (None, None, "")


def test_a_withdrawn_film_is_no_movie_of_a_list(staff: Client, listed: TmdbServer) -> None:
    movie = make_movie(tmdb_id=1)
    start_sync("lists")
    make_screening_and_withdraw(staff, movie.pk)
    assert staff.get("/tmdb/trending").json()["data"][0]["movie_id"] is None


def make_screening_and_withdraw(staff: Client, movie_id: int) -> None:
    assert staff.delete(f"/movies/{movie_id}", force=True).status_code == 204


def test_the_first_lists_and_genres_do_not_wait_for_their_turn(listed: TmdbServer) -> None:
    """Beat would send the genres in a week."""
    resume_syncs()
    assert {row.kind for row in SyncReport.objects.all()} == {"lists", "genres"}
    asked = len(listed.seen)
    resume_syncs()
    assert len(listed.seen) == asked


def test_reports_are_shown_by_pages_the_newest_first(
    staff: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    for hour in range(30):
        at = now - timedelta(hours=hour)
        SyncReport.objects.create(kind="lists", state="done", created_at=at, fetched_before=at)
    with django_assert_num_queries(3):
        answer = staff.get("/tmdb/syncs", per_page=5).json()
    assert answer["pagination"] == {"page": 1, "per_page": 5, "total": 30, "pages": 6}
    times = [row["created_at"] for row in answer["data"]]
    assert times == sorted(times, reverse=True)
    assert set(answer["data"][0]) == {
        "id", "kind", "state", "created_at", "started_at", "finished_at", "fetched", "created",
        "updated", "unchanged", "erased", "failed", "problems",
    }  # fmt: skip
